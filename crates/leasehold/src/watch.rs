//! Watching locks change.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use leasehold_core::{Change, Error, LockName, LockStatus, Token, changes};

use crate::locks::Client;

/// How many free locks a watch remembers the last token of.
const MAX_FREE: usize = 10_000;

/// What happens to the locks of a prefix, made with
/// [`Locks::watch`](crate::Locks::watch).
///
/// A watch compares what it sees with what it saw before. What came and went
/// between two looks is told as [`Change::Skipped`], by the tokens it used up.
pub struct Watch {
    client: Arc<Client>,
    prefix: String,
    /// What was seen last; `None` before the first look. A free lock stays, with its
    /// token, so that it is known what was missed when it comes back.
    seen: Option<BTreeMap<LockName, LockStatus>>,
    untold: VecDeque<Change>,
}

impl Watch {
    pub(crate) fn new(client: Arc<Client>, prefix: &str) -> Self {
        Self {
            client,
            prefix: prefix.to_owned(),
            seen: None,
            untold: VecDeque::new(),
        }
    }

    /// The locks as they stood at the first look, by name: that is this call,
    /// unless changes have been asked for before. What [`next`](Self::next) tells
    /// comes after it.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the engine cannot watch. Changes nothing, and may
    /// be called again. Cancel-safe.
    pub async fn initial(&mut self) -> Result<Vec<LockStatus>, Error> {
        self.first_look().await?;
        let seen = self.seen.iter().flat_map(BTreeMap::values);
        Ok(seen.filter(|status| status.is_in_use()).cloned().collect())
    }

    /// The next change.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the engine cannot watch. After any other error the
    /// next call goes on where this one failed; no change is missed, but some may
    /// then be told as skipped. Cancel-safe.
    pub async fn next(&mut self) -> Result<Change, Error> {
        self.first_look().await?;
        loop {
            if let Some(change) = self.untold.pop_front() {
                return Ok(change);
            }
            self.client.driver.engine.changed(&self.prefix).await?;
            self.look_again().await?;
        }
    }

    async fn first_look(&mut self) -> Result<(), Error> {
        if self.seen.is_some() {
            return Ok(());
        }
        let engine = &self.client.driver.engine;
        let can = engine.capabilities();
        if !can.watch || !can.list {
            return Err(Error::unsupported(
                engine.kind(),
                "watching of locks",
                "inspect the lock now and then",
            ));
        }
        self.seen = Some(self.look(&BTreeMap::new()).await?);
        Ok(())
    }

    async fn look_again(&mut self) -> Result<(), Error> {
        let nothing = BTreeMap::new();
        let before = self.seen.as_ref().unwrap_or(&nothing);
        let now = self.look(before).await?;
        let mut found = Vec::new();
        for (name, status) in &now {
            let unseen = || LockStatus::free(name.clone(), Token::NONE, Token::NONE);
            match before.get(name) {
                Some(old) => found.extend(changes(old, status)),
                None => found.extend(changes(&unseen(), status)),
            }
        }
        self.untold.extend(found);
        self.seen = Some(trimmed(now));
        Ok(())
    }

    /// All that is worth comparing.
    async fn look(
        &self,
        before: &BTreeMap<LockName, LockStatus>,
    ) -> Result<BTreeMap<LockName, LockStatus>, Error> {
        let engine = &self.client.driver.engine;
        let listed = engine.list(&self.prefix).await?;
        let mut now: BTreeMap<_, _> = listed.into_iter().map(|s| (s.name.clone(), s)).collect();
        for (name, old) in before {
            if now.contains_key(name) {
                continue;
            }
            // A list leaves free locks out. One that has just become free is looked at
            // for what its last grants were; so is the one whose name is the prefix,
            // since somebody who watches a single lock wants to know of every grant.
            let status = if old.is_in_use() || name.as_str() == self.prefix {
                engine.inspect(name).await?
            } else {
                old.clone()
            };
            now.insert(name.clone(), status);
        }
        if let Ok(name) = LockName::new(&self.prefix)
            && !now.contains_key(&name)
        {
            let status = engine.inspect(&name).await?;
            now.insert(name, status);
        }
        Ok(now)
    }
}

/// Forgets free locks if there are too many, those with the smallest tokens first:
/// they are the likeliest to have been idle for long.
fn trimmed(mut seen: BTreeMap<LockName, LockStatus>) -> BTreeMap<LockName, LockStatus> {
    let free = || seen.values().filter(|status| !status.is_in_use());
    if free().count() > MAX_FREE {
        let mut tokens: Vec<_> = free().map(|status| status.token).collect();
        tokens.sort_unstable();
        let least = tokens[tokens.len() - MAX_FREE / 2];
        seen.retain(|_, status| status.is_in_use() || status.token >= least);
    }
    seen
}
