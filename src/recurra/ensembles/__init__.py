"""Floor 8: several trained models made into one that answers for all of them."""

from recurra.ensembles.making import Making, make_ensemble
from recurra.ensembles.members import Member, read_members
from recurra.ensembles.stacking import learn_shares

__all__ = ["Making", "Member", "learn_shares", "make_ensemble", "read_members"]
