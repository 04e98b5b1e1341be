//! Calls in line for one client id: round robin over the people of the tenant and, within a person, over the principals
//! that act for them. Every request costs a provider the same, so no deficit is kept. Knows neither time nor tasks.

use std::collections::VecDeque;

use stagedoor_domain::{PrincipalKind, TenantContext, UserId};

/// Whose call it is: turns go round among owners first, then among the principals of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flow {
    owner: Owner,
    principal: PrincipalKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    User(UserId),
    Unbound(PrincipalKind),
}

impl Flow {
    pub(crate) fn of(ctx: &TenantContext) -> Self {
        let principal = ctx.principal().kind.clone();
        match ctx.user() {
            Some(user) => Self::of_user(user, principal),
            None => Self { owner: Owner::Unbound(principal.clone()), principal },
        }
    }

    pub(super) fn of_user(user: UserId, principal: PrincipalKind) -> Self {
        Self { owner: Owner::User(user), principal }
    }
}

/// Who waits. The front of each ring is next; who was served goes to the back of both.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    owners: VecDeque<OwnerLine<T>>,
    length: usize,
}

#[derive(Debug)]
struct OwnerLine<T> {
    owner: Owner,
    principals: VecDeque<PrincipalLine<T>>,
    length: usize,
}

#[derive(Debug)]
struct PrincipalLine<T> {
    principal: PrincipalKind,
    waiting: VecDeque<T>,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { owners: VecDeque::new(), length: 0 }
    }
}

impl<T> FairQueue<T> {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many of those who wait now are served before a call of `flow` that came now.
    pub(crate) fn ahead_of(&self, flow: &Flow) -> usize {
        let place = self.owners.iter().position(|line| line.owner == flow.owner);
        // The how-manieth turn of its owner the call would get, from 1.
        let turn = place.map_or(1, |place| self.owners[place].turn_of(&flow.principal));
        let place = place.unwrap_or(self.owners.len());
        let others = self.owners.iter().enumerate().filter(|(index, _)| *index != place);
        let before: usize =
            others.map(|(index, line)| line.length.min(if index < place { turn } else { turn - 1 })).sum();
        before + turn - 1
    }

    pub(crate) fn push(&mut self, flow: Flow, item: T) {
        let Flow { owner, principal } = flow;
        let index = self.owners.iter().position(|line| line.owner == owner).unwrap_or_else(|| {
            self.owners.push_back(OwnerLine { owner, principals: VecDeque::new(), length: 0 });
            self.owners.len() - 1
        });
        self.owners[index].push(principal, item);
        self.length += 1;
    }

    /// Takes out whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let mut line = self.owners.pop_front()?;
        let item = line.pop();
        self.length -= usize::from(item.is_some());
        if line.length > 0 {
            self.owners.push_back(line);
        }
        item
    }

    /// Those who wait, in the order in which they would be served.
    pub(crate) fn in_turn(&self) -> Vec<&T> {
        let mut order = Vec::with_capacity(self.length);
        let mut ring: VecDeque<_> = self.owners.iter().map(OwnerLine::in_turn).collect();
        while let Some(mut line) = ring.pop_front() {
            if let Some(item) = line.next() {
                order.push(item);
                ring.push_back(line);
            }
        }
        order
    }

    /// Takes out all that are meant.
    pub(crate) fn extract(&mut self, is_meant: impl Fn(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for line in &mut self.owners {
            for principal in &mut line.principals {
                let (out, stays) = std::mem::take(&mut principal.waiting).into_iter().partition(&is_meant);
                principal.waiting = stays;
                let out: VecDeque<T> = out;
                line.length -= out.len();
                self.length -= out.len();
                taken.extend(out);
            }
            line.principals.retain(|principal| !principal.waiting.is_empty());
        }
        self.owners.retain(|line| line.length > 0);
        taken
    }

    /// Takes out the one that is meant, which leaves the line as if it had never been in it.
    pub(crate) fn remove(&mut self, is_meant: impl Fn(&T) -> bool) -> Option<T> {
        for index in 0..self.owners.len() {
            if let Some(item) = self.owners[index].remove(&is_meant) {
                self.length -= 1;
                if self.owners[index].length == 0 {
                    self.owners.remove(index);
                }
                return Some(item);
            }
        }
        None
    }

    /// Makes room for a call of `flow`: takes out the newest call of the owner with the most waiting, or where that is
    /// the call's own, of that owner's principal with the most. `None` if that would leave it no fairer.
    pub(crate) fn make_room(&mut self, flow: &Flow) -> Option<T> {
        let index = (0..self.owners.len()).max_by_key(|index| self.owners[*index].length)?;
        let longest = &mut self.owners[index];
        if longest.owner == flow.owner {
            if !longest.is_shorter(&flow.principal) {
                return None;
            }
        } else {
            let own = self.owners.iter().find(|line| line.owner == flow.owner).map_or(0, |line| line.length);
            if own + 1 >= self.owners[index].length {
                return None;
            }
        }
        let item = self.owners[index].pop_newest()?;
        self.length -= 1;
        if self.owners[index].length == 0 {
            self.owners.remove(index);
        }
        Some(item)
    }
}

impl<T> OwnerLine<T> {
    fn turn_of(&self, principal: &PrincipalKind) -> usize {
        let place = self.principals.iter().position(|line| line.principal == *principal);
        let round = place.map_or(1, |place| self.principals[place].waiting.len() + 1);
        let place = place.unwrap_or(self.principals.len());
        let others = self.principals.iter().enumerate().filter(|(index, _)| *index != place);
        let before: usize = others
            .map(|(index, line)| line.waiting.len().min(if index < place { round } else { round - 1 }))
            .sum();
        before + round
    }

    fn push(&mut self, principal: PrincipalKind, item: T) {
        self.length += 1;
        match self.principals.iter_mut().find(|line| line.principal == principal) {
            Some(line) => line.waiting.push_back(item),
            None => self.principals.push_back(PrincipalLine { principal, waiting: [item].into() }),
        }
    }

    fn pop(&mut self) -> Option<T> {
        let mut line = self.principals.pop_front()?;
        let item = line.waiting.pop_front()?;
        self.length -= 1;
        if !line.waiting.is_empty() {
            self.principals.push_back(line);
        }
        Some(item)
    }

    fn in_turn(&self) -> impl Iterator<Item = &T> {
        let mut ring: VecDeque<_> = self.principals.iter().map(|line| line.waiting.iter()).collect();
        std::iter::from_fn(move || {
            let mut line = ring.pop_front()?;
            let item = line.next();
            if line.len() > 0 {
                ring.push_back(line);
            }
            item
        })
    }

    fn remove(&mut self, is_meant: impl Fn(&T) -> bool) -> Option<T> {
        let found = self.principals.iter().enumerate().find_map(|(index, line)| {
            line.waiting.iter().position(&is_meant).map(|position| (index, position))
        });
        let (index, position) = found?;
        let item = self.principals[index].waiting.remove(position);
        self.took(index);
        item
    }

    fn pop_newest(&mut self) -> Option<T> {
        let index = self.longest()?;
        let item = self.principals[index].waiting.pop_back();
        self.took(index);
        item
    }

    fn took(&mut self, index: usize) {
        self.length -= 1;
        if self.principals[index].waiting.is_empty() {
            self.principals.remove(index);
        }
    }

    fn longest(&self) -> Option<usize> {
        (0..self.principals.len()).max_by_key(|index| self.principals[*index].waiting.len())
    }

    /// Whether `principal`, with one more waiting, would still have fewer than the longest.
    fn is_shorter(&self, principal: &PrincipalKind) -> bool {
        let own = self.principals.iter().find(|line| line.principal == *principal);
        let own = own.map_or(0, |line| line.waiting.len());
        self.longest().is_some_and(|index| own + 1 < self.principals[index].waiting.len())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// Principal `key` of person `user`; person 0 is none, the principal stands for itself.
    fn flow(user: u128, key: u8) -> Flow {
        let principal = PrincipalKind::ApiKey(format!("{key:012}").parse().unwrap());
        let owner = match user {
            0 => Owner::Unbound(principal.clone()),
            user => Owner::User(UserId(Uuid::from_u128(user))),
        };
        Flow { owner, principal }
    }

    fn fill(queue: &mut FairQueue<(u128, u8, usize)>, user: u128, key: u8, calls: usize) {
        for number in 0..calls {
            queue.push(flow(user, key), (user, key, number));
        }
    }

    fn order(queue: &mut FairQueue<(u128, u8, usize)>) -> Vec<(u128, u8)> {
        std::iter::from_fn(|| queue.pop()).map(|(user, key, _)| (user, key)).collect()
    }

    #[test]
    fn people_take_turns_and_so_do_the_principals_of_one() {
        let mut queue = FairQueue::default();
        fill(&mut queue, 1, 1, 3);
        fill(&mut queue, 1, 2, 2);
        fill(&mut queue, 2, 3, 2);
        fill(&mut queue, 0, 4, 1);
        let expected = [(1, 1), (2, 3), (0, 4), (1, 2), (2, 3), (1, 1), (1, 2), (1, 1)];
        assert_eq!(order(&mut queue), expected);
        assert!(queue.is_empty() && queue.owners.is_empty());
    }

    #[test]
    fn a_thousand_calls_of_one_delay_another_by_one_turn() {
        let mut queue = FairQueue::default();
        fill(&mut queue, 1, 1, 1_000);
        assert_eq!(queue.ahead_of(&flow(2, 2)), 1);
        assert_eq!(queue.ahead_of(&flow(1, 1)), 1_000);
        assert_eq!(queue.ahead_of(&flow(1, 9)), 1, "another of the same person's agents");
        queue.push(flow(2, 2), (2, 2, 0));
        queue.pop();
        assert_eq!(queue.pop().unwrap(), (2, 2, 0));
    }

    /// The position that is told in advance is the one that comes true, whatever is in line.
    #[test]
    fn what_is_ahead_is_what_is_served_before() {
        let mut seed = 7_u64;
        let mut roll = |sides: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % sides
        };
        for _ in 0..2_000 {
            let mut queue = FairQueue::default();
            for _ in 0..roll(30) {
                if roll(5) == 0 {
                    queue.pop();
                } else {
                    let user = u128::from(roll(4));
                    let key = u8::try_from(u128::from(roll(3)) + user * 3).unwrap();
                    queue.push(flow(user, key), false);
                }
            }
            let user = u128::from(roll(4));
            let newcomer = flow(user, u8::try_from(u128::from(roll(3)) + user * 3).unwrap());
            let told = queue.ahead_of(&newcomer);
            queue.push(newcomer, true);
            let shown = queue.in_turn().into_iter().position(|is_newcomer| *is_newcomer);
            assert_eq!(shown, Some(told));
            let served = std::iter::from_fn(|| queue.pop()).position(|is_newcomer| is_newcomer);
            assert_eq!(served, Some(told));
        }
    }

    #[test]
    fn who_leaves_leaves_no_hole() {
        let mut queue = FairQueue::default();
        fill(&mut queue, 1, 1, 2);
        fill(&mut queue, 2, 2, 1);
        fill(&mut queue, 3, 3, 1);
        assert_eq!(queue.remove(|item| *item == (2, 2, 0)), Some((2, 2, 0)));
        assert_eq!(queue.remove(|item| *item == (2, 2, 0)), None);
        assert_eq!(queue.len(), 3);
        assert_eq!(order(&mut queue), [(1, 1), (3, 3), (1, 1)]);
    }

    #[test]
    fn several_leave_at_once_and_the_rest_keep_their_order() {
        let mut queue = FairQueue::default();
        fill(&mut queue, 1, 1, 3);
        fill(&mut queue, 2, 2, 1);
        fill(&mut queue, 1, 3, 2);
        let gone = queue.extract(|(user, _, number)| *user == 2 || *number == 0);
        assert_eq!((gone.len(), queue.len()), (3, 3));
        let shown: Vec<_> = queue.in_turn().into_iter().copied().collect();
        assert_eq!(shown, [(1, 1, 1), (1, 3, 1), (1, 1, 2)]);
        assert_eq!(order(&mut queue), [(1, 1), (1, 3), (1, 1)]);
        assert!(queue.owners.is_empty());
    }

    #[test]
    fn the_longest_makes_room_and_nobody_else() {
        let mut queue = FairQueue::default();
        fill(&mut queue, 1, 1, 4);
        fill(&mut queue, 1, 2, 6);
        fill(&mut queue, 2, 3, 2);
        assert_eq!(queue.make_room(&flow(3, 4)), Some((1, 2, 5)), "the newest of the longest");
        assert_eq!(queue.make_room(&flow(1, 2)), None, "nobody makes room for the longest itself");
        assert_eq!(queue.make_room(&flow(1, 1)), None, "5 against 5 is no fairer");
        assert_eq!(queue.make_room(&flow(1, 5)), Some((1, 2, 4)), "within one person too");
        assert_eq!(queue.len(), 10);
        let mut even = FairQueue::default();
        fill(&mut even, 1, 1, 1);
        fill(&mut even, 2, 2, 1);
        assert_eq!(even.make_room(&flow(3, 3)), None);
    }
}
