"""The networks themselves, as torch modules."""

from skeeg.modules.attention_base_net import AttentionBaseNet
from skeeg.modules.base import EEGModule
from skeeg.modules.fb_light_conv_net import FBLightConvNet
from skeeg.modules.sinc_shallow_net import SincShallowNet
from skeeg.modules.sstdpn import SSTDPN

__all__ = ["SSTDPN", "AttentionBaseNet", "EEGModule", "FBLightConvNet", "SincShallowNet"]
