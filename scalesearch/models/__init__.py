"""Architecture -> nn.Module, and the weights it starts from."""
