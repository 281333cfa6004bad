"""Large images, block by block: the plan, the loop, lazy arrays and views."""
