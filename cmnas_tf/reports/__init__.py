"""Reports: what runs and studies hold, as a page to look at."""
