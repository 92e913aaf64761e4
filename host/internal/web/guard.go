package web

import (
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// headers are those of every answer, including errors: nothing that the node serves is a page, and no cache keeps it.
var headers = map[string]string{
	"Cache-Control":                "no-store",
	"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'; sandbox",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
}

// guarded keeps browsers that speak for somebody else away from a handler on TCP. It recognises a page of another site
// by its Origin, and a site whose name leads to this machine (DNS rebinding) by the Host of its requests.
func guarded(hosts []string, next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	return sealed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !allowed(r.Host, hosts) {
			http.Error(w, fmt.Sprintf("this node is not %.128q; name it by its address, or add the name to "+
				"[WebServer] AllowedHosts", r.Host), http.StatusMisdirectedRequest)
			return
		}
		if err := origin.Check(r); err != nil {
			http.Error(w, "pages of other sites may not call this node: "+err.Error(), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// sealed adds the headers to every answer.
func sealed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		next.ServeHTTP(w, r)
	})
}

// allowed reports whether a request's Host names this node. Addresses always do: only names can be made to lead
// elsewhere. A missing Host does too, since every browser sends one.
func allowed(host string, names []string) bool {
	if host == "" {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"), "."))
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return name == "localhost" || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// The media types that metrics are served as.
const (
	textMetrics = "text/plain"
	openMetrics = "application/openmetrics-text"
)

// metricsType is the content type of a plugin's metrics: OpenMetrics if the plugin says so, else plain text, whatever
// else it says. Of its parameters stay those that scrapers read.
func metricsType(said string) string {
	media, given, err := mime.ParseMediaType(said)
	if err != nil || media != openMetrics && media != textMetrics {
		media, given = textMetrics, nil
	}
	known := map[string]string{"charset": "utf-8"}
	for name, values := range map[string][]string{
		"version":  {"0.0.1", "0.0.4", "1.0.0"},
		"escaping": {"allow-utf-8", "underscores", "dots", "values"},
	} {
		if slices.Contains(values, given[name]) {
			known[name] = given[name]
		}
	}
	if known["version"] == "" && media == textMetrics {
		known["version"] = "0.0.4"
	}
	text := media
	for _, name := range []string{"version", "charset", "escaping"} { // Prometheus's own order
		if known[name] != "" {
			text += "; " + name + "=" + known[name]
		}
	}
	return text
}
