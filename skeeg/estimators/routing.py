"""Classifiers around a classifier of trials: metadata, such as who they are from, reach the one inside."""

from __future__ import annotations

from sklearn.frozen import FrozenEstimator
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing


class Routes:
    """Takes trials, and hands metadata on to ``estimator``, whose ``predict_proba`` makes all predictions."""

    _routes = (("fit", "fit"), ("predict", "predict_proba"), ("predict_proba", "predict_proba"))

    def get_metadata_routing(self):
        """Say which metadata are asked for, and by whom; scikit-learn asks.

        Returns
        -------
        MetadataRouter
        """
        inside = self.estimator
        if isinstance(inside, FrozenEstimator):  # which asks for nothing itself
            inside = inside.estimator
        mapping = MethodMapping()
        for caller, callee in self._routes:
            mapping.add(caller=caller, callee=callee)
        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        return router.add(estimator=inside, method_mapping=mapping)

    def _handed_on(self, caller, callee, params):
        """What of the metadata of a method is for one of the estimator's."""
        return process_routing(self, caller, **params).estimator[callee] if params else {}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags
