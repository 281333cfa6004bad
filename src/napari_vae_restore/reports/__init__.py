"""Reports for people: noise, residuals, models; HTML pages and plots."""
