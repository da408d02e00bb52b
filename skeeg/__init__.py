"""scikit-learn compatible deep networks that decode EEG."""

from skeeg._epochs import EEGArray
from skeeg.attention_base_net import AttentionBaseNetClassifier
from skeeg.base import EEGClassifier
from skeeg.fb_light_conv_net import FBLightConvNetClassifier
from skeeg.persistence import from_pretrained, load, push_to_hub, save
from skeeg.preprocessing import EuclideanAlignment, Scaler
from skeeg.sinc_shallow_net import SincShallowNetClassifier
from skeeg.sstdpn import SSTDPNClassifier

__version__ = "0.1.0"

__all__ = [
    "AttentionBaseNetClassifier",
    "EEGArray",
    "EEGClassifier",
    "EuclideanAlignment",
    "FBLightConvNetClassifier",
    "SSTDPNClassifier",
    "Scaler",
    "SincShallowNetClassifier",
    "from_pretrained",
    "load",
    "push_to_hub",
    "save",
]
