//! Lists that go on: the shape of one page, and its cursor, which belongs to one tool and one question.

use schemars::JsonSchema;
use serde::Serialize;
use stagedoor_domain::music::Page;
use stagedoor_domain::{Provider, PublicError, TenantContext, ToolName};

use crate::cursor;
use crate::desk::Desk;
use crate::origin::Origin;
use crate::passing::InPassing;

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ListPage<T> {
    /// Where it is from.
    provider: Provider,
    items: Vec<T>,
    /// Hand this in as `cursor` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// How many there are in all, where the provider tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u32>,
    /// When the provider said so (RFC 3339).
    cached_at: String,
}

impl<T> InPassing for ListPage<T> {
    fn finds_nothing(&self) -> bool {
        self.items.is_empty() && self.next_cursor.is_none()
    }
}

/// One call for a page.
pub(crate) struct Listing<'a> {
    desk: &'a Desk,
    ctx: &'a TenantContext,
    tool: ToolName,
    binding: String,
    page: Option<String>,
}

impl<'a> Listing<'a> {
    /// The page that a call asks for; its cursor has to be one of the same tool and `binding`.
    pub(crate) async fn open(
        (desk, ctx): (&'a Desk, &'a TenantContext),
        origin: &Origin,
        (tool, binding): (ToolName, String),
        sealed: Option<&str>,
    ) -> Result<Self, PublicError> {
        let page = match sealed {
            Some(sealed) => Some(cursor::open(desk, ctx, origin, (tool, &binding), sealed).await?),
            None => None,
        };
        Ok(Self { desk, ctx, tool, binding, page })
    }

    /// The provider's own cursor of the page; `None` for the first.
    pub(crate) fn page(&self) -> Option<&str> {
        self.page.as_deref()
    }

    /// What was found, with the cursor of the next page sealed.
    pub(crate) async fn answer<T>(
        &self,
        provider: Provider,
        found: Page<T>,
    ) -> Result<ListPage<T>, PublicError> {
        let next_cursor = match &found.next {
            Some(next) => Some(cursor::seal(self.desk, self.ctx, self.tool, &self.binding, next).await?),
            None => None,
        };
        let (items, total, cached_at) = (found.items, found.total, self.desk.now_text());
        Ok(ListPage { provider, items, next_cursor, total, cached_at })
    }
}
