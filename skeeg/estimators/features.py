"""What ``transform`` gives: the features of the network's last layer, by name."""

from __future__ import annotations

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin


class NamedFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """A transformer whose features are called after its class."""

    @property
    def _n_features_out(self):
        return getattr(self.module_, "n_features", len(self.classes_))

    def get_feature_names_out(self, input_features=None):
        """Get the names of the features that ``transform`` gives.

        Parameters
        ----------
        input_features : ignored
            Names of what came before, such as channels.

        Returns
        -------
        ndarray of str, shape (n_features,)
        """
        return super().get_feature_names_out()
