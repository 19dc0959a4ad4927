//! From an input that fails to the smallest that does.

/// Leaves out as much as it can while `fails` still says so; `fails` may also say
/// that it will try no more, by `None`.
pub fn minimise(input: &[u8], mut fails: impl FnMut(&[u8]) -> Option<bool>) -> Vec<u8> {
    let mut best = input.to_vec();
    let mut piece = best.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let mut smaller = false;
        while at < best.len() {
            let end = (at + piece).min(best.len());
            let mut shorter = best.clone();
            shorter.drain(at..end);
            match fails(&shorter) {
                Some(true) => {
                    best = shorter;
                    smaller = true;
                }
                Some(false) => at = end,
                None => return best,
            }
        }
        if !smaller && piece == 1 {
            break;
        }
        piece = piece.div_ceil(2).max(1);
    }
    simplify(best, fails)
}

/// Puts a plain letter wherever one will do.
fn simplify(mut best: Vec<u8>, mut fails: impl FnMut(&[u8]) -> Option<bool>) -> Vec<u8> {
    for at in 0..best.len() {
        let old = best[at];
        if old == b'a' {
            continue;
        }
        best[at] = b'a';
        match fails(&best) {
            Some(true) => {}
            Some(false) => best[at] = old,
            None => {
                best[at] = old;
                break;
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_is_left() {
        let input = b"some long text with X in the middle and then Y near its end";
        let fails = |text: &[u8]| Some(text.contains(&b'X') && text.contains(&b'Y'));
        assert_eq!(minimise(input, fails), b"XY");
        let many = |text: &[u8]| Some(text.len() >= 5);
        assert_eq!(minimise(input, many), b"aaaaa");
    }

    #[test]
    fn it_ends_when_told_to() {
        let mut left = 3;
        let input = b"0123456789";
        let smaller = minimise(input, |_| {
            left -= 1;
            (left > 0).then_some(true)
        });
        assert!(smaller.len() < input.len());
    }
}
