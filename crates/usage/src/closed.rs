//! A minute that is over, as the lines that the store takes.

use stagedoor_domain::{TenantContext, UserId};
use stagedoor_storage::usage::{Denials, Figures, MinuteLine, NONE, OTHER, UNAUTHENTICATED, WITHHELD};

use crate::counting::{Closed, OfTenant, Sum};

impl Closed {
    /// The lines of each tenant.
    pub(crate) fn into_lines(self) -> impl Iterator<Item = (TenantContext, Vec<MinuteLine>)> {
        let Self { starts_at, batch, tenants } = self;
        let line = move |user: Option<UserId>, principal: String, tool, content, sum: &Sum| {
            let figures = sum.figures;
            MinuteLine { starts_at, batch, user, principal, tool, content, figures, latency: Vec::new() }
                .with_latency(&sum.latency)
        };
        tenants.into_values().map(move |tenant| {
            let OfTenant { ctx, series, other, refused } = tenant;
            let mut lines: Vec<MinuteLine> = series
                .iter()
                .map(|(series, sum)| {
                    let (user, principal) = match series.who() {
                        Some((user, kind)) => (user, kind.label()),
                        None => (None, WITHHELD.to_owned()),
                    };
                    line(user, principal, series.tool.as_str(), series.content.as_str(), sum)
                })
                .collect();
            if !other.figures.is_empty() {
                lines.push(line(None, OTHER.to_owned(), OTHER, NONE, &other));
            }
            if refused > 0 {
                let denied = Denials { credentials: refused, ..Denials::default() };
                let sum = Sum { figures: Figures { denied, ..Figures::default() }, ..Sum::default() };
                lines.push(line(None, UNAUTHENTICATED.to_owned(), NONE, NONE, &sum));
            }
            // What only happened beside calls and sent nothing is not worth a row.
            lines.retain(|line| !line.figures.is_empty());
            (ctx, lines)
        })
    }
}
