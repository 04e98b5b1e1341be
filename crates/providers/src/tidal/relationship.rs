//! Lists that Tidal keeps as a relationship of something, read page by page with what they point at.

use stagedoor_domain::TenantContext;
use stagedoor_domain::music::Page;

use super::Tidal;
use super::document::{Document, Identifier, Included, Links};
use super::paging::Position;
use super::request::get;
use crate::call::Call;
use crate::error::ProviderError;
use crate::types::Access;

/// A relationship to read.
pub(super) struct List<'a> {
    /// For the log: the operation, never an id.
    pub(super) operation: &'static str,
    /// What has it: type and id.
    pub(super) of: [&'a str; 2],
    /// Its name.
    pub(super) name: &'a str,
    /// The `include` paths.
    pub(super) include: &'a str,
    /// Parameters besides `include` and the cursor.
    pub(super) query: &'a [(&'a str, &'a str)],
    /// Whether it takes a `countryCode`.
    pub(super) by_country: bool,
    /// The scopes that it needs.
    pub(super) scopes: &'static [&'static str],
}

impl List<'_> {
    /// The document of the page at `position`.
    pub(super) async fn read(
        &self,
        tidal: &Tidal,
        ctx: &TenantContext,
        access: &Access<'_>,
        position: &Position,
    ) -> Result<Document<Vec<Identifier>>, ProviderError> {
        let country = access.country.filter(|_| self.by_country);
        let access = Access { country, ..*access };
        let mut query = self.query.to_vec();
        if !self.include.is_empty() {
            query.push(("include", self.include));
        }
        query.extend(position.parameter());
        let segments = [self.of[0], self.of[1], "relationships", self.name];
        let call = Call { scopes: self.scopes, ..get(&access, self.operation, &segments, &query) };
        tidal.http.json(ctx, &call).await
    }

    /// At most `limit` entries from `position` on, each turned into what it stands for or left out.
    pub(super) async fn page<T>(
        &self,
        tidal: &Tidal,
        ctx: &TenantContext,
        access: &Access<'_>,
        (position, limit): (&Position, u32),
        turn: impl Fn(&Identifier, &Included<'_>) -> Option<T>,
    ) -> Result<Page<T>, ProviderError> {
        let document = self.read(tidal, ctx, access, position).await?;
        let links = document.links.as_ref();
        let included = document.included();
        Ok(page_of(&document.data, links, (position, limit), |found| turn(found, &included)))
    }
}

/// At most `limit` of `identifiers`, which are a list's part at `position`, each turned into what it stands for or left
/// out.
pub(super) fn page_of<T>(
    identifiers: &[Identifier],
    links: Option<&Links>,
    (position, limit): (&Position, u32),
    turn: impl Fn(&Identifier) -> Option<T>,
) -> Page<T> {
    let slice = position.slice(identifiers, links, limit.clamp(1, 50));
    Page {
        items: slice.entries.iter().filter_map(|(_, identifier)| turn(identifier)).collect(),
        next: slice.next.map(|next| next.to_token()),
        total: None,
    }
}
