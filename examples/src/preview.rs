//! Published sites over HTTP: `GET /preview/{buildId}/…` (wire.md §12).
//!
//! A site is a stranger's work on the worker's origin, so every answer carries a policy that
//! takes that origin away: scripts and forms work, cookies, storage and the worker's pages are
//! out of reach. Nothing outside the site's own folder is served, whatever the path says and
//! wherever a symbolic link in it leads.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use percent_encoding::percent_decode_str;
use tower::ServiceExt;
use tower_http::services::ServeFile;

/// What a previewed page may do. Without `allow-same-origin` its origin is opaque; `'self'` still
/// means where it was loaded from.
pub const POLICY: &str = "sandbox allow-scripts allow-forms; default-src 'self' 'unsafe-inline' \
                          data:; form-action 'self' mailto:; base-uri 'self'";

/// Serves the sites under `preview_dir`, each below `/preview/` and its build's id.
pub fn router(preview_dir: impl Into<PathBuf>) -> Router {
    let sites = Arc::new(preview_dir.into());
    Router::new()
        .route("/preview/{build_id}", get(serve))
        .route("/preview/{build_id}/", get(serve))
        .route("/preview/{build_id}/{*path}", get(serve))
        .with_state(sites)
        .layer(axum::middleware::map_response(guard))
}

async fn guard(mut response: Response) -> Response {
    let fixed: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
        // Module scripts and fonts are fetched with CORS, and the page's origin is opaque. What
        // stands here is open to anyone without credentials, so this gives nothing away.
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Text is UTF-8 here: it came as JSON.
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    if let Some(kind) = kind.filter(|kind| kind.starts_with("text/") && !kind.contains(';'))
        && let Ok(kind) = HeaderValue::try_from(format!("{kind}; charset=utf-8"))
    {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    response
}

async fn serve(State(sites): State<Arc<PathBuf>>, request: Request) -> Response {
    let Some(asked) = Asked::of(request.uri().path()) else {
        return not_found();
    };
    // The file system may block.
    let found = tokio::task::spawn_blocking(move || asked.find(&sites)).await;
    match found {
        Ok(Found::File(file)) => {
            let served: Result<_, Infallible> = ServeFile::new(file).oneshot(request).await;
            let Ok(response) = served;
            if response.status() == StatusCode::NOT_FOUND {
                return not_found();
            }
            response.map(Body::new)
        }
        Ok(Found::Folder) => into_folder(&request),
        Ok(Found::Nothing) | Err(_) => not_found(),
    }
}

/// To the same address with a slash, so that the page's relative links lead into the folder.
fn into_folder(request: &Request) -> Response {
    let uri = request.uri();
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    // Relative, for whoever mounts this elsewhere; `./`, because `b:1/` would be a scheme.
    match HeaderValue::try_from(format!("./{last}/{query}")) {
        Ok(location) => (
            StatusCode::TEMPORARY_REDIRECT,
            [(header::LOCATION, location)],
        )
            .into_response(),
        Err(_) => not_found(),
    }
}

fn not_found() -> Response {
    const PAGE: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
        <title>Not found</title></head><body><h1>Not found</h1>\
        <p>This preview has no such page.</p></body></html>\n";
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (StatusCode::NOT_FOUND, kind, PAGE).into_response()
}

/// A path of a site, decoded, every segment a plain name.
#[derive(Debug)]
struct Asked {
    build: String,
    names: Vec<String>,
    ends_in_slash: bool,
}

#[derive(Debug)]
enum Found {
    File(PathBuf),
    /// A folder with an index, asked for without its slash.
    Folder,
    Nothing,
}

impl Asked {
    fn of(path: &str) -> Option<Self> {
        let mut segments: Vec<&str> = path.strip_prefix("/preview/")?.split('/').collect();
        let ends_in_slash = segments.pop_if(|last| last.is_empty()).is_some();
        let mut names = Vec::with_capacity(segments.len());
        for segment in segments {
            let name = percent_decode_str(segment).decode_utf8().ok()?;
            let plain = !matches!(&*name, "" | "." | "..")
                && !name.contains(|c: char| matches!(c, '/' | '\\') || c.is_control());
            if !plain {
                return None;
            }
            names.push(name.into_owned());
        }
        if names.is_empty() {
            return None;
        }
        let build = names.remove(0);
        // Builds work in a folder whose name begins with a dot.
        (!build.starts_with('.')).then_some(Self {
            build,
            names,
            ends_in_slash,
        })
    }

    fn find(&self, sites: &Path) -> Found {
        self.canonical(sites).unwrap_or(Found::Nothing)
    }

    fn canonical(&self, sites: &Path) -> Option<Found> {
        let site = sites.canonicalize().ok()?.join(&self.build);
        let mut wanted = site.clone();
        wanted.extend(&self.names);
        let within = |path: &Path| {
            let path = path.canonicalize().ok()?;
            // The site's own folder must not be a link either, or its target would be the site.
            let whole = site.is_dir() && site.canonicalize().ok()? == site;
            (whole && path.starts_with(&site)).then_some(path)
        };
        let wanted = within(&wanted)?;
        if wanted.is_dir() {
            let index = within(&wanted.join("index.html")).filter(|index| index.is_file())?;
            return Some(if self.ends_in_slash {
                Found::File(index)
            } else {
                Found::Folder
            });
        }
        // Not a pipe or a device: opening one may wait for ever.
        (wanted.is_file() && !self.ends_in_slash).then_some(Found::File(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::fs;
    use tempfile::TempDir;

    fn sites() -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let site = root.path().join("b:1");
        fs::create_dir_all(site.join("a b")).unwrap();
        fs::create_dir_all(site.join("empty")).unwrap();
        fs::write(site.join("index.html"), "<h1>مرحبا</h1>").unwrap();
        fs::write(site.join("style.css"), "p {}").unwrap();
        fs::write(site.join("app.js"), "1").unwrap();
        fs::write(site.join("logo.svg"), "<svg/>").unwrap();
        fs::write(site.join("a b/index.html"), "inner").unwrap();
        fs::write(site.join("a b/100%.txt"), "percent").unwrap();
        fs::create_dir(root.path().join(".work")).unwrap();
        fs::write(root.path().join(".work/index.html"), "hidden").unwrap();
        fs::write(root.path().join("secret.txt"), "secret").unwrap();
        root
    }

    async fn ask(
        root: &TempDir,
        method: &str,
        path: &str,
    ) -> (StatusCode, Vec<(String, String)>, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::empty())
            .unwrap();
        let response = router(root.path()).oneshot(request).await.unwrap();
        let status = response.status();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    fn header<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
        headers
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    #[tokio::test]
    async fn pages_are_served_with_their_types_under_the_policy() {
        let root = sites();
        for (path, kind, body) in [
            (
                "/preview/b:1/",
                "text/html; charset=utf-8",
                "<h1>مرحبا</h1>",
            ),
            (
                "/preview/b:1/index.html?v=1",
                "text/html; charset=utf-8",
                "<h1>مرحبا</h1>",
            ),
            (
                "/preview/b%3A1/style.css",
                "text/css; charset=utf-8",
                "p {}",
            ),
            ("/preview/b:1/app.js", "text/javascript; charset=utf-8", "1"),
            ("/preview/b:1/logo.svg", "image/svg+xml", "<svg/>"),
            ("/preview/b:1/a%20b/", "text/html; charset=utf-8", "inner"),
            (
                "/preview/b:1/a%20b/100%25.txt",
                "text/plain; charset=utf-8",
                "percent",
            ),
        ] {
            let (status, headers, text) = ask(&root, "GET", path).await;
            assert_eq!((status, text.as_str()), (StatusCode::OK, body), "{path}");
            assert_eq!(header(&headers, "content-type"), kind, "{path}");
            let policy = header(&headers, "content-security-policy");
            assert!(
                policy.starts_with("sandbox allow-scripts allow-forms;"),
                "{policy}"
            );
            assert!(!policy.contains("allow-same-origin"), "{policy}");
            assert_eq!(header(&headers, "x-content-type-options"), "nosniff");
        }
    }

    #[tokio::test]
    async fn a_folder_gets_its_slash() {
        let root = sites();
        for (path, location) in [
            ("/preview/b:1", "./b:1/"),
            ("/preview/b:1?x=1", "./b:1/?x=1"),
            ("/preview/b:1/a%20b", "./a%20b/"),
        ] {
            let (status, headers, _) = ask(&root, "GET", path).await;
            assert_eq!(status, StatusCode::TEMPORARY_REDIRECT, "{path}");
            assert_eq!(header(&headers, "location"), location, "{path}");
        }
    }

    #[tokio::test]
    async fn only_get_and_head_are_answered() {
        let root = sites();
        let (status, headers, body) = ask(&root, "HEAD", "/preview/b:1/style.css").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, ""));
        assert_eq!(header(&headers, "content-length"), "4");
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let (status, headers, _) = ask(&root, method, "/preview/b:1/style.css").await;
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
            assert_eq!(header(&headers, "content-security-policy"), POLICY);
        }
    }

    #[tokio::test]
    async fn nothing_outside_a_site_is_served() {
        let root = sites();
        for path in [
            "/preview/b:1/../secret.txt",
            "/preview/b:1/%2e%2e/secret.txt",
            "/preview/b:1/..%2fsecret.txt",
            "/preview/b:1/%2E%2E%2Fsecret.txt",
            "/preview/b:1/..%5csecret.txt",
            "/preview/b:1/a%20b/../../secret.txt",
            "/preview/b:1//etc/passwd",
            "/preview/b:1/%2fetc/passwd",
            "/preview/..%2f/etc/passwd",
            "/preview/../etc/passwd",
            "/preview/%2e%2e/",
            "/preview/%2e/secret.txt",
            "/preview/.work/",
            "/preview/.work/index.html",
            "/preview/secret.txt",
            "/preview/secret.txt/",
            "/preview/b:1/style.css/",
            "/preview/b:1/style.css%00",
            "/preview/b:1/%FF",
            "/preview/b:1/empty/",
            "/preview/b:1/empty",
            "/preview/b:1/none.html",
            "/preview/none/",
        ] {
            let (status, headers, body) = ask(&root, "GET", path).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            assert!(
                !body.contains("secret") && !body.contains("root:"),
                "{path}: {body}"
            );
            assert_eq!(
                header(&headers, "content-security-policy"),
                POLICY,
                "{path}"
            );
        }
    }

    #[tokio::test]
    async fn no_link_leads_out_of_a_site() {
        use std::os::unix::fs::symlink;
        let root = sites();
        let site = root.path().join("b:1");
        symlink("../secret.txt", site.join("file")).unwrap();
        symlink("/etc", site.join("folder")).unwrap();
        symlink("/etc", root.path().join("whole")).unwrap();
        fs::create_dir(site.join("index")).unwrap();
        symlink("../../secret.txt", site.join("index/index.html")).unwrap();
        symlink("style.css", site.join("inside.css")).unwrap();
        for path in [
            "b:1/file",
            "b:1/folder/passwd",
            "whole/passwd",
            "b:1/index/",
            "b:1/index",
        ] {
            let (status, _, body) = ask(&root, "GET", &format!("/preview/{path}")).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {body}");
        }
        let (status, _, body) = ask(&root, "GET", "/preview/b:1/inside.css").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "p {}"));
    }

    #[tokio::test]
    async fn a_pipe_in_a_site_is_not_opened() {
        let root = sites();
        let made = std::process::Command::new("mkfifo")
            .arg(root.path().join("b:1/pipe"))
            .status();
        assert!(made.unwrap().success());
        let (status, _, _) = ask(&root, "GET", "/preview/b:1/pipe").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
}
