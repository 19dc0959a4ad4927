//! A real node, asked through the scripts.

use std::time::Duration;

use leasehold_core::quorum::{
    AcquireReply, Ask, JoinCommand, JoinReply, OwnerReply, PromoteReply, RunId,
};
use leasehold_core::{BreakStatus, LockName, Nonce, Owner, StoreTime, Token};
use redis::{Cmd, Connection, ConnectionLike, RedisResult, Value};

use super::scripts::info::{ServerInfo, decode_info};
use super::scripts::{
    BreakReply, Keys, Label, NODE, Packed, RunText, Scripts, Terms, View, decode_acquire,
    decode_break, decode_extend, decode_join, decode_many, decode_promote, decode_release,
    decode_status,
};
use super::support::Server;

/// What every grant of these tests has beyond its TTL.
pub(crate) const GRACE: Duration = Duration::from_millis(7);
/// Where every waiter of these tests is told.
pub(crate) const CHANNEL: &str = "leasehold:to:00000000000000aa";
/// Who takes every lock of these tests.
pub(crate) const OWNER: &str = "host é 1/2";

/// A server, a connection to it, and the scripts.
pub(crate) struct Remote {
    pub(crate) server: Server,
    pub(crate) connection: Connection,
    pub(crate) scripts: Scripts,
    pub(crate) run: RunText,
}

impl Remote {
    pub(crate) fn start(retention: Duration) -> Self {
        let server = Server::start(&[]);
        let mut connection = server.connect();
        let run = read_info(&mut connection).run_id;
        Self {
            server,
            connection,
            scripts: Scripts::new(retention),
            run: run.into(),
        }
    }

    /// One that votes.
    pub(crate) fn joined(floor: Token) -> Self {
        let mut remote = Self::start(Duration::from_secs(60));
        remote.join_at(floor, Duration::from_secs(100));
        remote.load();
        remote
    }

    pub(crate) fn join_at(&mut self, floor: Token, max_ttl: Duration) {
        let ticket = nonce(9);
        self.join(JoinCommand::Notice { ticket }, None);
        let command = JoinCommand::Install {
            ticket,
            floor,
            max_ttl,
        };
        assert_eq!(self.join(command, None), JoinReply::Installed);
    }

    /// A new connection, after a restart.
    pub(crate) fn reconnect(&mut self) {
        self.connection = self.server.connect();
        self.run = self.info().run_id.into();
    }

    pub(crate) fn load(&mut self) {
        let said = self.ask_all(&self.scripts.load());
        self.scripts.decode_load(&said).unwrap();
    }

    pub(crate) fn acquire(
        &mut self,
        run: RunId,
        name: &LockName,
        nonce: Nonce,
        ask: Ask,
    ) -> RedisResult<(AcquireReply, Option<View>)> {
        let owner = Owner::new(OWNER);
        let label = Label {
            owner: &owner,
            grace: GRACE,
            channel: CHANNEL,
        };
        let (keys, run) = (keys(name), run.into());
        let cmd = self.scripts.acquire(&keys, &run, nonce, &ask, label);
        Ok(decode_acquire(&self.ask(&cmd)?).unwrap())
    }

    pub(crate) fn promote(
        &mut self,
        run: RunId,
        name: &LockName,
        nonce: Nonce,
        to: Token,
    ) -> RedisResult<PromoteReply> {
        let cmd = (self.scripts).promote(&keys(name), &run.into(), nonce, to);
        Ok(decode_promote(&self.ask(&cmd)?).unwrap())
    }

    pub(crate) fn extend(
        &mut self,
        name: &LockName,
        nonce: Nonce,
        (slot, hold): (u32, Duration),
    ) -> RedisResult<OwnerReply> {
        let cmd = self.scripts.extend(&keys(name), nonce, slot, hold);
        Ok(decode_extend(&self.ask(&cmd)?).unwrap())
    }

    pub(crate) fn place(&mut self, name: &LockName, nonce: Nonce, to: u64) {
        let cmd = self.scripts.place(&keys(name), nonce, to);
        self.ask(&cmd).unwrap();
    }

    pub(crate) fn step_back(
        &mut self,
        run: RunId,
        name: &LockName,
        nonce: Nonce,
        terms: (Nonce, Token, u64, Duration),
    ) {
        let cmd = (self.scripts).step_back(&keys(name), &run.into(), nonce, terms, CHANNEL);
        self.ask(&cmd).unwrap();
    }

    pub(crate) fn release(
        &mut self,
        run: RunId,
        name: &LockName,
        nonce: Nonce,
    ) -> RedisResult<OwnerReply> {
        let cmd = self.scripts.release(&keys(name), &run.into(), nonce);
        Ok(decode_release(&self.ask(&cmd)?).unwrap())
    }

    /// Asks for all of these in one call. `None` for those that it left alone.
    pub(crate) fn acquire_many(
        &mut self,
        run: RunId,
        (hold, line): (Duration, Option<Duration>),
        locks: &[(LockName, Nonce, Token)],
    ) -> RedisResult<Vec<Option<AcquireReply>>> {
        let owner = Owner::new(OWNER);
        let terms = Terms {
            hold,
            line,
            grace: GRACE,
            owner: &owner,
        };
        let keys: Vec<_> = locks.iter().map(|(name, _, _)| keys(name)).collect();
        let each = keys.iter().zip(locks);
        let each: Vec<_> = each.map(|(keys, lock)| (keys, lock.1, lock.2)).collect();
        let cmd = self.scripts.acquire_many(&run.into(), terms, &each);
        let said = decode_many(self.ask(&cmd)?, locks.len()).into_iter();
        Ok(said
            .map(|said| said.map(|said| decode_acquire(&said).unwrap().0))
            .collect())
    }

    /// Extends all of these in one call. `None` for those that it left alone.
    pub(crate) fn extend_many(
        &mut self,
        hold: Duration,
        locks: &[(LockName, Nonce)],
    ) -> RedisResult<Vec<Option<OwnerReply>>> {
        let keys: Vec<_> = locks.iter().map(|(name, _)| keys(name)).collect();
        let each: Vec<_> = keys
            .iter()
            .zip(locks)
            .map(|(k, lock)| (k, lock.1))
            .collect();
        let cmd = self.scripts.extend_many(hold, &each);
        let said = decode_many(self.ask(&cmd)?, locks.len()).into_iter();
        Ok(said
            .map(|said| said.map(|said| decode_extend(&said).unwrap()))
            .collect())
    }

    /// Releases all of these in one call. `None` for those that it left alone.
    pub(crate) fn release_many(
        &mut self,
        locks: &[(LockName, Nonce)],
    ) -> RedisResult<Vec<Option<OwnerReply>>> {
        let keys: Vec<_> = locks.iter().map(|(name, _)| keys(name)).collect();
        let each: Vec<_> = keys
            .iter()
            .zip(locks)
            .map(|(k, lock)| (k, lock.1))
            .collect();
        let cmd = self.scripts.release_many(&each);
        let said = decode_many(self.ask(&cmd)?, locks.len()).into_iter();
        Ok(said
            .map(|said| said.map(|said| decode_release(&said).unwrap()))
            .collect())
    }

    pub(crate) fn status(&mut self, name: &LockName) -> RedisResult<View> {
        let cmd = self.scripts.status(&keys(name));
        Ok(decode_status(&self.ask(&cmd)?).unwrap())
    }

    pub(crate) fn break_keys(
        &mut self,
        run: RunId,
        name: &LockName,
        values: &[Vec<u8>],
        to: Token,
    ) -> RedisResult<BreakReply> {
        let run = run.into();
        let cmd = (self.scripts).break_keys(&keys(name), &run, values, to, &why());
        Ok(decode_break(&self.ask(&cmd)?).unwrap())
    }

    /// A step of a join, under another run id than the server's if told so.
    pub(crate) fn join(&mut self, command: JoinCommand, run: Option<RunId>) -> JoinReply {
        let run = run.map_or_else(|| self.run.clone(), RunText::from);
        let said = self.ask_all(&self.scripts.join(command, &run, NODE));
        decode_join(command, &run, &said).unwrap()
    }

    pub(crate) fn info(&mut self) -> ServerInfo {
        read_info(&mut self.connection)
    }

    /// A plain command.
    pub(crate) fn call(&mut self, words: &[&str]) -> Value {
        let mut cmd = Cmd::new();
        for word in words {
            cmd.arg(word);
        }
        cmd.query(&mut self.connection).unwrap()
    }

    /// How long a key lives, in ms; -1 for ever, -2 if it is not there.
    pub(crate) fn life(&mut self, key: &str) -> i64 {
        match self.call(&["PTTL", key]) {
            Value::Int(left) => left,
            other => panic!("{other:?}"),
        }
    }

    /// The server's clock.
    pub(crate) fn now(&mut self) -> StoreTime {
        let mut cmd = Cmd::new();
        cmd.arg("TIME");
        let (seconds, micros): (u64, u64) = cmd.query(&mut self.connection).unwrap();
        StoreTime::from_micros(seconds * 1_000_000 + micros)
    }

    fn ask(&mut self, command: &Packed) -> RedisResult<Value> {
        let said = self.connection.req_packed_command(command.bytes())?;
        said.extract_error()
    }

    pub(crate) fn ask_all(&mut self, commands: &Packed) -> Vec<Value> {
        let (bytes, count) = (commands.bytes(), commands.commands());
        let said = self
            .connection
            .req_packed_commands(bytes, 0, count)
            .unwrap();
        let said = said.into_iter().map(Value::extract_error);
        said.collect::<RedisResult<_>>().unwrap()
    }
}

fn read_info(connection: &mut Connection) -> ServerInfo {
    let said: Value = redis::cmd("INFO").arg("all").query(connection).unwrap();
    decode_info(&said).unwrap()
}

pub(crate) fn keys(name: &LockName) -> Keys {
    Keys::of(name, "").unwrap()
}

/// What every break of these tests says.
pub(crate) fn why() -> BreakStatus {
    let ended = vec![token(7), Token::MAX];
    BreakStatus::new(OWNER.into(), "stuck, é".to_owned(), 1_795_000_000, ended)
}

/// Our key beside the lock's own.
pub(crate) fn ours(name: &LockName, what: &str) -> String {
    format!("leasehold:{{{name}}}:{what}")
}

pub(crate) fn nonce(of: u8) -> Nonce {
    Nonce::from_bytes([of; 16])
}

pub(crate) fn token(value: u64) -> Token {
    Token::new(value).unwrap()
}
