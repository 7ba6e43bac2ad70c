//! The order in which a workflow's steps are taken.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::flow::{Flow, Step};
use super::quoted;

/// Steps that follow each other, whatever a record is like.
pub(super) struct Path<'f> {
    /// The branch that leads here, unless it is the beginning.
    pub(super) branch: Option<String>,
    pub(super) steps: Vec<&'f Step<'f>>,
}

/// All paths of a workflow, each step on one of them at most; `leave` hears of what is on none, and of
/// connections that lead nowhere or back.
pub(super) fn paths<'f>(flow: &'f Flow<'f>, leave: &mut dyn FnMut(&Step<'_>, &str)) -> Vec<Path<'f>> {
    let steps = flow.steps();
    let mut taken = vec![false; steps.len()];
    let mut open: VecDeque<(Option<String>, Option<&Step<'f>>, Cow<'f, str>)> = VecDeque::new();
    open.extend(flow.start().map(|start| (None, None, start)));
    let mut paths = Vec::new();
    while let Some((branch, mut before, target)) = open.pop_front() {
        let mut path = Path { branch, steps: Vec::new() };
        let mut next = Some(target);
        while let Some(id) = next {
            let Some(at) = flow.find(&id) else {
                if let Some(before) = before {
                    let reason = format!("it leads to action `{}`, which isn't there", quoted(&id));
                    leave(before, &reason);
                }
                break;
            };
            let (Some(step), Some(taken)) = (steps.get(at), taken.get_mut(at)) else { break };
            if *taken {
                let from =
                    before.map_or_else(String::new, |step| format!(" from action `{}`", quoted(step.id())));
                leave(step, &format!("it is reached again{from}; it stands only where it is reached first"));
                break;
            }
            *taken = true;
            path.steps.push(step);
            for branch in step.branches() {
                open.push_back((Some(branch.name), Some(step), branch.target));
            }
            next = step.next();
            before = Some(step);
        }
        paths.push(path);
    }
    for (at, step) in steps.iter().enumerate() {
        if taken.get(at) == Some(&false) {
            let twin = flow.find(step.id()) != Some(at);
            leave(step, if twin { "another action has its id" } else { "nothing leads to it" });
        }
    }
    paths
}
