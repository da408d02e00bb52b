"""Classifiers around a classifier: metadata, such as who trials are from, reach the one inside."""

from __future__ import annotations

from sklearn.frozen import FrozenEstimator
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing


class Routes:
    """Hands metadata on to ``estimator``: to its ``fit``, and of any prediction to its ``predict_proba``."""

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
