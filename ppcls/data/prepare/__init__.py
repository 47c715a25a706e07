"""From archives and folders to what a recipe reads: pictures, list files, label maps."""
