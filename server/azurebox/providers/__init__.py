"""Resource providers: what each resource type is and does."""
