//! A small browser without script: keeps cookies, follows redirects, submits forms, and holds pages to their
//! `form-action` as real ones do. Everything on one host is one site to it, whatever the port.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::{CONTENT_SECURITY_POLICY, COOKIE, LOCATION, ORIGIN, REFERRER_POLICY, SET_COOKIE};
use url::{Url, form_urlencoded};

use crate::client::Answer;
use crate::html;

const PATIENCE: Duration = Duration::from_mins(1);
const MOST_REDIRECTS: usize = 10;

/// A person's browser.
#[derive(Debug)]
pub struct Browser {
    http: reqwest::Client,
    cookies: Mutex<Vec<Cookie>>,
    headers: Vec<(&'static str, String)>,
}

#[derive(Debug, Clone)]
struct Cookie {
    name: String,
    value: String,
    host: String,
    path: String,
}

/// What the browser shows.
#[derive(Debug, Clone)]
pub struct Page {
    /// Where it was loaded from.
    pub url: Url,
    /// The answer.
    pub answer: Answer,
}

impl Browser {
    /// A browser without cookies.
    ///
    /// # Panics
    /// If no HTTP client can be built.
    pub fn new() -> Self {
        stagedoor_bootstrap::tls::install_provider();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("Mozilla/5.0 (testkit)")
            .build();
        let http = http.expect("an HTTP client without TLS roots can always be built");
        Self { http, cookies: Mutex::default(), headers: Vec::new() }
    }

    /// The same browser coming from another address, as a trusted proxy says.
    #[must_use]
    pub fn from_address(mut self, address: &str) -> Self {
        self.headers.push(("x-forwarded-for", address.to_owned()));
        self
    }

    /// Opens an address and follows redirects.
    pub async fn open(&self, url: &Url) -> Page {
        let page = self.load(url).await;
        self.follow(page, None).await
    }

    /// Opens an address and stays at the redirect, if it is one.
    pub async fn load(&self, url: &Url) -> Page {
        self.send(url, self.http.get(url.clone())).await
    }

    /// Submits the page's form with these fields besides its hidden ones, and follows redirects.
    pub async fn submit(&self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let answer = self.submit_and_stay(page, fields).await;
        self.follow(answer, Some(page)).await
    }

    /// The same, staying at the redirect, if it is one.
    ///
    /// # Panics
    /// If the page has no form.
    pub async fn submit_and_stay(&self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let action = html::form(&page.text()).map(|form| form.action).unwrap_or_default();
        let action = page.url.join(&action).expect("an address");
        assert_may_lead_to(page, &action);
        self.submit_at(page, &action, fields).await
    }

    /// The same, sent to `action`: where a proxy would hand the form on to.
    ///
    /// # Panics
    /// If the page has no form.
    pub async fn submit_at(&self, page: &Page, action: &Url, fields: &[(&str, &str)]) -> Page {
        let form = html::form(&page.text()).unwrap_or_else(|| panic!("no form: {}", page.text()));
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(&form.hidden).extend_pairs(fields);
        let body = body.finish();
        if form.posts {
            let request = self
                .http
                .post(action.clone())
                .header("content-type", "application/x-www-form-urlencoded")
                .header(ORIGIN, origin_of_form(page))
                .header("sec-fetch-site", "same-origin")
                .body(body);
            return self.send(action, request).await;
        }
        let mut address = action.clone();
        address.set_query(Some(&body));
        self.load(&address).await
    }

    /// Forgets every cookie, as another browser would not have them.
    pub fn forget_cookies(&self) {
        self.lock().clear();
    }

    /// The values of all cookies.
    pub fn cookies(&self) -> Vec<(String, String)> {
        self.lock().iter().map(|cookie| (cookie.name.clone(), cookie.value.clone())).collect()
    }

    /// Writes a value of its own into a cookie that it has.
    pub fn alter_cookies(&self, alter: impl Fn(&str, &mut String)) {
        for cookie in self.lock().iter_mut() {
            alter(&cookie.name, &mut cookie.value);
        }
    }

    async fn follow(&self, mut page: Page, submitted_from: Option<&Page>) -> Page {
        for _ in 0..MOST_REDIRECTS {
            let Some(next) = page.location() else { return page };
            if let Some(origin) = submitted_from {
                assert_may_lead_to(origin, &next);
            }
            let request = self.http.get(next.clone());
            // A form's origin stays with it on its way, although the method becomes GET.
            let request = match submitted_from {
                Some(page) => request.header(ORIGIN, origin_of_form(page)),
                None => request,
            };
            page = self.send(&next, request).await;
        }
        panic!("more than {MOST_REDIRECTS} redirects, the last to {}", page.url);
    }

    async fn send(&self, url: &Url, mut request: reqwest::RequestBuilder) -> Page {
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let cookies = self.cookies_for(url);
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        let response = request.send().await.unwrap_or_else(|error| panic!("no answer from {url}: {error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap_or_else(|error| panic!("no body from {url}: {error:?}"));
        for cookie in headers.get_all(SET_COOKIE) {
            self.keep(url, cookie.to_str().expect("a cookie in ASCII"));
        }
        Page { url: url.clone(), answer: Answer { status, headers, body } }
    }

    fn cookies_for(&self, url: &Url) -> String {
        let host = url.host_str().unwrap_or_default();
        let fits = |cookie: &&Cookie| cookie.host == host && path_matches(url.path(), &cookie.path);
        let pairs: Vec<String> = self
            .lock()
            .iter()
            .filter(fits)
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        pairs.join("; ")
    }

    fn keep(&self, url: &Url, header: &str) {
        let mut parts = header.split(';').map(str::trim);
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a name and a value");
        let attribute = |name: &str| {
            parts
                .clone()
                .filter_map(|part| part.split_once('='))
                .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.to_owned()))
        };
        let cookie = Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            host: url.host_str().unwrap_or_default().to_owned(),
            path: attribute("path").unwrap_or_else(|| "/".to_owned()),
        };
        let mut cookies = self.lock();
        cookies.retain(|old| (&old.name, &old.host, &old.path) != (&cookie.name, &cookie.host, &cookie.path));
        if attribute("max-age").as_deref() != Some("0") {
            cookies.push(cookie);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Cookie>> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Page {
    /// Its source.
    pub fn text(&self) -> String {
        self.answer.text()
    }

    /// The status of its answer.
    pub fn status(&self) -> u16 {
        self.answer.status
    }

    /// Its heading.
    pub fn heading(&self) -> String {
        html::text_of(&self.text(), "h1").unwrap_or_default()
    }

    /// The stable code of the failure that it tells of.
    pub fn code(&self) -> Option<String> {
        let footer = html::source_of(&self.text(), "footer")?;
        html::text_of(&footer, "code")
    }

    /// `STATUS code`, the form in which tests compare failures; `STATUS ok` without one.
    pub fn verdict(&self) -> String {
        format!("{} {}", self.status(), self.code().unwrap_or_else(|| "ok".to_owned()))
    }

    /// Where it redirects to.
    ///
    /// # Panics
    /// If that is no address.
    pub fn location(&self) -> Option<Url> {
        let location =
            self.answer.header(LOCATION.as_str()).filter(|_| (300..400).contains(&self.status()))?;
        Some(self.url.join(location).expect("an address"))
    }
}

/// What a page's form says of where it stands (Fetch, "append a request Origin header").
fn origin_of_form(page: &Page) -> String {
    match page.answer.header(REFERRER_POLICY.as_str()) {
        Some("no-referrer") => "null".to_owned(),
        _ => page.url.origin().ascii_serialization(),
    }
}

/// Stops the test where a real browser would stop the form (CSP Level 3, `form-action`).
fn assert_may_lead_to(page: &Page, target: &Url) {
    let policy = page.answer.header(CONTENT_SECURITY_POLICY.as_str()).unwrap_or_default();
    let Some(rule) = policy.split(';').map(str::trim).find_map(|rule| rule.strip_prefix("form-action "))
    else {
        return;
    };
    let target = target.origin().ascii_serialization();
    let own = page.url.origin().ascii_serialization();
    let allowed = rule.split(' ').any(|source| source == target || (source == "'self'" && own == target));
    assert!(allowed, "the page's form may lead to {rule}, not to {target}");
}

/// RFC 6265 §5.1.4.
fn path_matches(path: &str, of_cookie: &str) -> bool {
    path.strip_prefix(of_cookie)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || of_cookie.ends_with('/'))
}
