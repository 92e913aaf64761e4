package web

import (
	"cmp"
	"net"
	"net/http"
	"net/url"
)

// target is one entry of Prometheus's HTTP service discovery.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// The labels of targets. Those without a leading __ end up on every series that is scraped, so that no two processes
// share one. The label job is left to Prometheus, which gives all targets the name of their scrape configuration.
const (
	labelPath   = "__metrics_path__"
	labelMeta   = "__meta_plugin_name"
	labelPlugin = "plugin"
	labelKind   = "kind"
	labelJob    = "job_id"
)

// kindNode is the kind of the target that is the node itself.
const kindNode = "node"

// discovery lists the node, then each plugin. A plugin that is down stays listed: its page answers 503, so that up is
// 0.
func (s *Server) discovery(w http.ResponseWriter, r *http.Request) {
	at := []string{s.reachedAt(r)}
	all := []target{{Targets: at, Labels: map[string]string{labelPath: "/metrics", labelKind: kindNode}}}
	for _, p := range s.settings.Plugins.List() {
		labels := map[string]string{
			labelPath: "/plugins/" + url.PathEscape(p.Name) + "/metrics", labelMeta: p.Name,
			labelPlugin: p.Name, labelKind: p.Kind,
		}
		if p.Job != "" {
			labels[labelJob] = p.Job
		}
		all = append(all, target{Targets: at, Labels: labels})
	}
	s.json(w, http.StatusOK, all)
}

// reachedAt is host:port where whoever sent the request reaches this node. The request has just come by the address
// that it names, which holds behind mapped ports too; the node's own name may lead to where it does not listen.
func (s *Server) reachedAt(r *http.Request) string {
	if s.settings.DiscoveryHost == "" {
		return cmp.Or(r.Host, s.Address()) // clients of HTTP/1.0 may name none
	}
	_, port, _ := net.SplitHostPort(s.Address()) // a listener's address always has one
	return net.JoinHostPort(s.settings.DiscoveryHost, port)
}
