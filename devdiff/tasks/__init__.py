"""What a model is for: the metric of its task on every rung, and what each step costs of it."""
