//! Draws that depend on nothing but what they are for: adding a machine or a fault does not change what others drew.

/// A number drawn for these numbers, evenly over all.
pub(super) fn dice(seeds: &[u64]) -> u64 {
    let mixed = seeds.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |sum, seed| mix(sum.wrapping_add(*seed)));
    mix(mixed)
}

/// A number for a text (FNV-1a).
pub(super) fn of(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood, 2014).
const fn mix(sum: u64) -> u64 {
    let once = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let twice = (once ^ (once >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    twice ^ (twice >> 31)
}
