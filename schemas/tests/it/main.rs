//! What holds for the house as a whole. Lives here because `schemas` is the one room that depends on nothing of ours.

mod rooms;
