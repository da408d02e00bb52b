"""Estimators: EEGClassifier and one page for each architecture."""
