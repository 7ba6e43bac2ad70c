//! Settles of one invocation that end while another one is on its way to the outbox: they go together, in the next
//! call. Under load that is one call for as many attempts as an invocation makes side by side.
//!
//! All of it belongs to one invocation, so here they may wait for each other.

use std::cell::{Cell, RefCell};

use futures_channel::oneshot;
use worker::{Error, Result};

/// What is to be told to one outbox.
#[derive(Default)]
pub(super) struct Crowd {
    waiting: RefCell<Vec<Waiting>>,
    is_underway: Cell<bool>,
}

struct Waiting {
    call: Vec<u8>,
    turn: oneshot::Sender<Turn>,
}

enum Turn {
    /// Another one took the call along.
    Replied(Result<Vec<u8>>),
    /// It is the next to go, with its call.
    Go(Vec<u8>),
}

/// Who goes. Whatever becomes of it, the next one's turn comes.
struct Going<'a>(&'a Crowd);

impl Drop for Going<'_> {
    fn drop(&mut self) {
        while let Some(Waiting { call, turn }) = self.0.next() {
            // Who has given up doesn't go.
            if turn.send(Turn::Go(call)).is_ok() {
                return;
            }
        }
        self.0.is_underway.set(false);
    }
}

impl Crowd {
    /// Tells the outbox something, with whatever else there is by then: the reply to `call`. `bring` is how; it
    /// gives a reply to each call.
    ///
    /// # Errors
    /// When `bring` fails.
    pub async fn tell(
        &self,
        call: Vec<u8>,
        bring: impl AsyncFnOnce(Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>>,
    ) -> Result<Vec<u8>> {
        if !self.is_underway.replace(true) {
            return self.go(call, bring).await;
        }
        let (turn, its_turn) = oneshot::channel();
        self.waiting.borrow_mut().push(Waiting { call, turn });
        match its_turn.await {
            Ok(Turn::Replied(reply)) => reply,
            Ok(Turn::Go(call)) => self.go(call, bring).await,
            Err(_) => Err(Error::from("who took it along has not come back")),
        }
    }

    async fn go(
        &self,
        call: Vec<u8>,
        bring: impl AsyncFnOnce(Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>>,
    ) -> Result<Vec<u8>> {
        let _going = Going(self);
        let (mut calls, mut turns) = (vec![call], Vec::new());
        for Waiting { call, turn } in self.waiting.take() {
            calls.push(call);
            turns.push(turn);
        }
        let outcome = bring(calls).await;
        let error = outcome.as_ref().err().map(ToString::to_string);
        let mut replies = outcome.unwrap_or_default().into_iter();
        let mut next = || {
            let missing = || Error::from(error.clone().unwrap_or_else(|| "it got no reply".to_owned()));
            replies.next().ok_or_else(missing)
        };
        let own = next();
        for turn in turns {
            // Who has given up needs none.
            drop(turn.send(Turn::Replied(next())));
        }
        own
    }

    /// Who has waited longest.
    fn next(&self) -> Option<Waiting> {
        let mut waiting = self.waiting.borrow_mut();
        (!waiting.is_empty()).then(|| waiting.remove(0))
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;

    use futures_util::FutureExt as _;

    use super::*;

    type Told = Option<std::result::Result<String, String>>;
    type Replies = Result<Vec<Vec<u8>>>;

    /// An outbox that answers when it is told to.
    #[derive(Default)]
    struct Outbox {
        crowd: Crowd,
        heard: RefCell<Vec<String>>,
        open: RefCell<Vec<oneshot::Sender<Replies>>>,
    }

    impl Outbox {
        async fn hear(&self, calls: Vec<Vec<u8>>) -> Replies {
            let calls: Vec<_> = calls.into_iter().map(|call| String::from_utf8(call).unwrap()).collect();
            self.heard.borrow_mut().push(calls.join(" "));
            let (answer, answered) = oneshot::channel();
            self.open.borrow_mut().push(answer);
            answered.await.unwrap()
        }

        fn tell<'a>(&'a self, call: &str) -> Pin<Box<dyn Future<Output = Result<Vec<u8>>> + 'a>> {
            Box::pin(self.crowd.tell(call.into(), async |calls| self.hear(calls).await))
        }

        fn answer(&self, replies: &str) {
            let replies = replies.split_whitespace().map(Vec::from).collect();
            self.open.borrow_mut().remove(0).send(Ok(replies)).unwrap();
        }
    }

    fn look(told: &mut Pin<Box<dyn Future<Output = Result<Vec<u8>>> + '_>>) -> Told {
        let reply = told.as_mut().now_or_never()?;
        Some(reply.map(|reply| String::from_utf8(reply).unwrap()).map_err(|error| error.to_string()))
    }

    #[test]
    fn what_comes_while_one_is_under_way_goes_together_and_hears_its_own_replies() {
        let outbox = Outbox::default();
        let (mut a, mut b, mut c, mut d) =
            (outbox.tell("a"), outbox.tell("b"), outbox.tell("c"), outbox.tell("d"));
        assert_eq!([&mut a, &mut b, &mut c].map(look), [None, None, None]);
        assert_eq!(*outbox.heard.borrow(), ["a"]);
        outbox.answer("A");
        assert_eq!(look(&mut a), Some(Ok("A".to_owned())));
        assert_eq!([&mut b, &mut c, &mut d].map(look), [None, None, None]);
        assert_eq!(*outbox.heard.borrow(), ["a", "b c"]);
        outbox.answer("B C");
        assert_eq!([&mut b, &mut c].map(look), [Some(Ok("B".to_owned())), Some(Ok("C".to_owned()))]);
        assert_eq!(look(&mut d), None);
        outbox.answer("D");
        assert_eq!(look(&mut d), Some(Ok("D".to_owned())));
        assert_eq!(*outbox.heard.borrow(), ["a", "b c", "d"]);
        assert_eq!(look(&mut outbox.tell("e")), None);
        assert_eq!(outbox.heard.borrow().last().unwrap(), "e", "nobody is under way any more");
    }

    #[test]
    fn an_error_is_heard_by_all_who_went_and_the_next_goes() {
        let outbox = Outbox::default();
        let (mut a, mut b, mut c, mut d) =
            (outbox.tell("a"), outbox.tell("b"), outbox.tell("c"), outbox.tell("d"));
        assert_eq!([&mut a, &mut b, &mut c].map(look), [None, None, None]);
        outbox.open.borrow_mut().remove(0).send(Err(Error::from("reset"))).unwrap();
        assert!(look(&mut a).unwrap().unwrap_err().contains("reset"));
        assert_eq!([&mut b, &mut c, &mut d].map(look), [None, None, None]);
        outbox.open.borrow_mut().remove(0).send(Err(Error::from("again"))).unwrap();
        for told in [&mut b, &mut c] {
            assert!(look(told).unwrap().unwrap_err().contains("again"));
        }
        assert_eq!(look(&mut d), None);
        assert_eq!(*outbox.heard.borrow(), ["a", "b c", "d"]);
    }

    #[test]
    fn a_reply_too_few_is_an_error_of_its_own() {
        let outbox = Outbox::default();
        let (mut a, mut b, mut c) = (outbox.tell("a"), outbox.tell("b"), outbox.tell("c"));
        assert_eq!([&mut a, &mut b, &mut c].map(look), [None, None, None]);
        outbox.answer("A");
        assert_eq!(look(&mut a), Some(Ok("A".to_owned())));
        assert_eq!(look(&mut b), None);
        outbox.answer("B");
        assert_eq!(look(&mut b), Some(Ok("B".to_owned())));
        assert!(look(&mut c).unwrap().unwrap_err().contains("no reply"));
    }

    #[test]
    fn when_who_goes_is_dropped_or_has_given_up_the_next_one_goes() {
        let outbox = Outbox::default();
        let (mut a, mut b, mut c) = (outbox.tell("a"), outbox.tell("b"), outbox.tell("c"));
        assert_eq!([&mut a, &mut b, &mut c].map(look), [None, None, None]);
        drop(b);
        drop(a);
        assert_eq!(look(&mut c), None);
        assert_eq!(*outbox.heard.borrow(), ["a", "c"]);
    }
}
