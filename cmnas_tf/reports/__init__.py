"""What a person sees: tables, TensorBoard, pictures."""
