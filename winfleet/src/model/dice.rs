//! Draws that depend on nothing but what they are for: adding a machine or a fault does not change what others drew.

/// A number drawn for these numbers, evenly over all.
pub(super) fn dice(seeds: &[u64]) -> u64 {
    let mixed = seeds.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |sum, seed| mix(sum.wrapping_add(*seed)));
    mix(mixed)
}

/// Of each `of` in a row one is drawn: whether the one of this number is. To draw is fair where counting is not: who asks
/// twice each time would meet every second one for ever.
pub fn one_of(seed: u64, number: u64, of: u64) -> bool {
    let of = of.max(1);
    dice(&[seed, number / of]) % of == number % of
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_n_in_a_row_one_is_drawn_and_not_always_the_same() {
        let drawn: Vec<u64> = (0..3000).filter(|number| one_of(7, *number, 3)).collect();
        assert!(drawn.iter().zip(0..).all(|(number, row)| number / 3 == row) && drawn.len() == 1000);
        let places = [0, 1, 2].map(|place| drawn.iter().filter(|number| *number % 3 == place).count());
        assert!(places.iter().all(|count| (250..420).contains(count)), "{places:?}");
        assert_ne!(drawn, (0..3000).filter(|number| one_of(8, *number, 3)).collect::<Vec<_>>());
        assert!((0..10).all(|number| one_of(7, number, 1)));
    }
}
