"""Image files to pixel arrays, and a cache of decoded folders."""
