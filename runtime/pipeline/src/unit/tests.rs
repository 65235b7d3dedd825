mod blocks;
mod cases;
mod cuts;
mod idleness;
mod rig;
mod steps;
mod sums;
mod windows;
