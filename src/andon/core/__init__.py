"""The ground everything stands on: records, image decode and resize, the bundle manifest, the plug-in catalog."""
