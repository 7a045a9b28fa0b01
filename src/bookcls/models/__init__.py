"""VGG16: its layers by name, which weights it starts from, and how their files are read."""

__all__ = ["layers", "precision", "start", "state_dict", "vgg16", "weights"]
