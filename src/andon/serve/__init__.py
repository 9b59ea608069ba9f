"""The inference server: an HTTP API and a page for people over models that are packaged as bundles."""
