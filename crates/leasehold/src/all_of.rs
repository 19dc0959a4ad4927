//! Several locks, all or none.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use leasehold_core::{Error, LockName, Released};
use tracing::Instrument;

use crate::Lease;
use crate::acquire::acquire;
use crate::locks::Client;
use crate::options::{Options, Wait, setters};

/// A request for several locks, made with [`Locks::all_of`](crate::Locks::all_of).
/// Nothing happens until it is awaited.
///
/// The options hold for each of the locks; the limit on waiting is for all of
/// them together.
///
/// # Errors
///
/// As for [`LockRequest`](crate::LockRequest), and [`Error::Invalid`] if there is
/// no name or one is given twice, and [`Error::Lost`] if one of the leases was lost
/// while others were waited for. Whatever had been taken is given back before the
/// error is returned.
///
/// # Cancel safety
///
/// Dropping the future leaves none of the locks held.
#[must_use = "nothing happens until a request is awaited"]
pub struct AllOf {
    client: Arc<Client>,
    names: Result<Vec<LockName>, Error>,
    options: Options,
}

impl AllOf {
    pub(crate) fn new<I, S>(client: Arc<Client>, names: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        Self {
            client,
            names: canonical(names),
            options: Options::default(),
        }
    }

    setters!();

    async fn acquire(mut self, names: &[LockName]) -> Result<Leases, Error> {
        let started = self.client.driver.now();
        let mut taken = Vec::with_capacity(names.len());
        for name in names {
            // One limit for all of them.
            let options = &mut self.options;
            let wait = options.wait;
            if let Wait::For(limit) = wait {
                let gone = self.client.driver.now().saturating_since(started);
                options.wait = Wait::For(limit.saturating_sub(gone));
            }
            let span = tracing::debug_span!("acquire", lock = %name);
            let now = self.client.driver.now();
            let answer = acquire(&self.client, name, options, now)
                .instrument(span)
                .await;
            options.wait = wait;
            match answer {
                Ok(lease) => taken.push(lease),
                Err(error) => {
                    give_back(taken).await;
                    return Err(error);
                }
            }
        }
        let lost = taken.iter().find_map(Lease::lost_error);
        if let Some(error) = lost {
            give_back(taken).await;
            return Err(error);
        }
        Ok(Leases(taken))
    }
}

impl IntoFuture for AllOf {
    type Output = Result<Leases, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            let names = std::mem::replace(&mut self.names, Ok(Vec::new()))?;
            self.acquire(&names).await
        })
    }
}

/// The names in the one order in which everybody takes them.
fn canonical<I, S>(names: I) -> Result<Vec<LockName>, Error>
where
    I: IntoIterator<Item = S>,
    S: AsRef<str>,
{
    let mut sorted = names
        .into_iter()
        .map(LockName::new)
        .collect::<Result<Vec<_>, _>>()?;
    sorted.sort_unstable();
    if sorted.is_empty() {
        return Err(Error::invalid("lock names", "", "give at least one name"));
    }
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::invalid(
            "lock names",
            pair[0].as_str(),
            "give each name only once",
        )),
        None => Ok(sorted),
    }
}

/// Releases the last first, so that nobody who takes them in order gets one only
/// to wait for the next.
async fn give_back(mut leases: Vec<Lease>) -> Vec<Result<Released, Error>> {
    let mut answers = Vec::with_capacity(leases.len());
    while let Some(lease) = leases.pop() {
        let driver = Arc::clone(&lease.client().driver);
        let limit = driver.now().saturating_add(RELEASE);
        let name = lease.name().clone();
        // What is not answered in time goes on in the background.
        let answer = driver.within(Some(limit), lease.release()).await;
        answers.push(answer.unwrap_or_else(|| {
            Err(Error::Indeterminate {
                operation: leasehold_core::Operation::Release,
                engine: driver.engine.kind(),
                detail: format!("no answer came about lock {name:?}"),
            })
        }));
    }
    answers
}

/// How long a release may take before it is left to the background.
const RELEASE: Duration = Duration::from_secs(5);

/// The leases of [`Locks::all_of`](crate::Locks::all_of), by name. Dropping them
/// releases them all in the background.
#[derive(Debug)]
#[must_use = "leases are released when they are dropped"]
pub struct Leases(Vec<Lease>);

impl Leases {
    /// The leases, by name.
    pub fn iter(&self) -> std::slice::Iter<'_, Lease> {
        self.0.iter()
    }

    /// The lease of one of the locks.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Lease> {
        self.iter().find(|lease| lease.name().as_str() == name)
    }

    /// Whether all of them are valid now.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.iter().all(Lease::is_valid)
    }

    /// How long all of them are valid without another renewal.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.iter().map(Lease::remaining).min().unwrap_or_default()
    }

    /// Runs `work` for as long as all of them are valid; see [`Lease::run`].
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] for the first that was lost before the work was done.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        let mut lost: Vec<_> = self.iter().map(|lease| Box::pin(lease.lost())).collect();
        let mut work = pin!(work);
        poll_fn(|context| {
            for (lease, lost) in self.iter().zip(&mut lost) {
                if lost.as_mut().poll(context).is_ready()
                    && let Some(error) = lease.lost_error()
                {
                    return Poll::Ready(Err(error));
                }
            }
            work.as_mut().poll(context).map(Ok)
        })
        .await
    }

    /// Gives all of them back, the last first, and waits for the answers.
    ///
    /// The answer is `AlreadyLost` if any of them was.
    ///
    /// # Errors
    ///
    /// The first, after all have been tried. What failed goes on in the background.
    pub async fn release(self) -> Result<Released, Error> {
        let mut all = Released::Released;
        for answer in give_back(self.0).await {
            if answer? == Released::AlreadyLost {
                all = Released::AlreadyLost;
            }
        }
        Ok(all)
    }
}

impl IntoIterator for Leases {
    type Item = Lease;
    type IntoIter = std::vec::IntoIter<Lease>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Leases {
    type Item = &'a Lease;
    type IntoIter = std::slice::Iter<'a, Lease>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_in_one_order_and_once() {
        let names = canonical(["b", "a/2", "a/10"]).unwrap();
        let names: Vec<_> = names.iter().map(LockName::as_str).collect();
        assert_eq!(names, ["a/10", "a/2", "b"]);
        assert!(
            canonical(["x", "y", "x"])
                .unwrap_err()
                .to_string()
                .contains("only once")
        );
        assert!(canonical::<_, &str>([]).is_err());
        assert!(canonical(["x", ""]).is_err());
    }
}
