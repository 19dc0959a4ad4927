//! C6: once nothing goes wrong any more, whoever waits is served.

/// The longest that anybody may wait for a lock in peace, in microseconds.
pub const PATIENCE: u64 = 8_000_000;

/// Who has been served since peace began.
#[derive(Clone, Debug)]
pub struct Served {
    served: Vec<bool>,
    /// The longest wait, in microseconds.
    pub longest: u64,
}

impl Served {
    /// Nobody of so many.
    #[must_use]
    pub fn none_of(clients: usize) -> Self {
        Self {
            served: vec![false; clients],
            longest: 0,
        }
    }

    /// This one has a lock, after waiting so long in peace.
    pub fn serve(&mut self, client: usize, waited: u64) {
        self.longest = self.longest.max(waited);
        if let Some(served) = self.served.get_mut(client) {
            *served = true;
        }
    }

    /// Whether everybody was.
    #[must_use]
    pub fn all(&self) -> bool {
        self.served.iter().all(|served| *served)
    }

    /// The run is over. `waiting` is how long those have waited in peace who still
    /// do.
    ///
    /// # Errors
    ///
    /// If somebody waited too long.
    pub fn judge(&mut self, waiting: impl Iterator<Item = u64>) -> Result<(), String> {
        self.longest = self.longest.max(waiting.max().unwrap_or_default());
        match self.longest > PATIENCE {
            true => Err(format!("C6: a client waited {} us in peace", self.longest)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_ever_is_noticed() {
        let mut served = Served::none_of(2);
        served.serve(0, 10);
        assert!(!served.all());
        assert!(served.judge([PATIENCE].into_iter()).is_ok());
        assert!(served.judge([PATIENCE + 1].into_iter()).is_err());
        served.serve(1, 20);
        assert!(served.all());
    }
}
