"""What runs behind the window: generators without Qt, and the worker that runs them."""
