package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/host/internal/config"
)

// api is the operator's API, as a client calls it.
type api = nodev1connect.NodeServiceClient

// target is how a node is reached: by its socket, which needs only the right user, or by TCP with a token. Flags take
// precedence over the environment, and the environment over the socket of the configuration.
type target struct {
	socket, url, tokenFile string // the flags
	environ, builtin       []string
}

func (t *target) flags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&t.socket, "socket", "", "the node's unix socket (environment: LOOP_NODE_SOCKET;\n"+
		"default: that of the configuration that CL_CONFIG names)")
	f.StringVar(&t.url, "url", "", "the node's address; it needs a token (environment: LOOP_NODE_URL)")
	f.StringVar(&t.tokenFile, "token-file", "", "file with the token for --url (environment: LOOP_NODE_TOKEN_FILE,\n"+
		"or LOOP_NODE_TOKEN with the token itself)")
	root.MarkFlagsMutuallyExclusive("socket", "url")
}

// variable is the last of its name, as the system has it.
func (t *target) variable(name string) (value string) {
	for _, variable := range t.environ {
		if v, ok := strings.CutPrefix(variable, name+"="); ok {
			value = v
		}
	}
	return value
}

// errNoSocket is the error of a configuration that does not say where the node's socket is.
var errNoSocket = errors.New("the node's socket is not known")

// named reports whether somebody has said which node is meant.
func (t *target) named() bool {
	return t.socket != "" || t.url != "" || t.variable("LOOP_NODE_SOCKET") != "" || t.variable("LOOP_NODE_URL") != ""
}

// resolve says where the node is: the one or the other is empty.
func (t *target) resolve() (socket, address string, err error) {
	switch {
	case t.socket != "":
		return t.socket, "", nil
	case t.url != "":
		address = t.url
	case t.variable("LOOP_NODE_SOCKET") != "" && t.variable("LOOP_NODE_URL") != "":
		return "", "", exit(ExitUsage,
			errors.New("LOOP_NODE_SOCKET and LOOP_NODE_URL both name a node; unset one, or name it by --socket or --url"))
	case t.variable("LOOP_NODE_SOCKET") != "":
		return t.variable("LOOP_NODE_SOCKET"), "", nil
	case t.variable("LOOP_NODE_URL") != "":
		address = t.variable("LOOP_NODE_URL")
	default:
		if socket, err = config.Socket(t.environ, t.builtin...); err != nil {
			return "", "", exit(ExitUsage, fmt.Errorf("%w: %w; name it by --socket", errNoSocket, err))
		}
		return socket, "", nil
	}
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", "", exit(ExitUsage,
			fmt.Errorf("--url %q is not the address of a node: it looks like http://127.0.0.1:6688",
				masked(address)))
	}
	return "", strings.TrimSuffix(address, "/"), nil
}

// name is the node's name for people. It is called only if the target can be resolved.
func (t *target) name() string {
	socket, address, _ := t.resolve()
	if socket != "" {
		return "the socket " + socket
	}
	return masked(address)
}

// masked is a URL for a terminal, on which a password does not belong.
func masked(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return u.Redacted()
}

// longestToken bounds what is read of a file with a token, which has 69 bytes.
const longestToken = 4 << 10

// token is what is sent to an address; empty: none is known, which the node will say.
func (t *target) token(address string) (string, error) {
	file, token := t.tokenFile, t.variable("LOOP_NODE_TOKEN")
	if file == "" && token == "" {
		file = t.variable("LOOP_NODE_TOKEN_FILE")
	}
	if file != "" {
		content, err := read(file, longestToken, "token")
		if err != nil {
			return "", err
		}
		token = string(content)
	}
	token = strings.TrimSpace(token)
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", exit(ExitUsage,
			errors.New("the token has characters that no token has; a token file has the token on one line, and nothing else"))
	}
	if u, err := url.Parse(address); token != "" && (err != nil || u.Scheme != "https" && !local(u.Hostname())) {
		return "", exit(ExitUsage, fmt.Errorf("a token is not sent to %s over http, where others on the way can read it; "+
			"use https, or a tunnel to this machine", masked(address)))
	}
	return token, nil
}

// local reports whether a host is this machine.
func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// client speaks to the node.
func (t *target) client(ctx context.Context) (api, error) {
	socket, address, err := t.resolve()
	if err != nil {
		return nil, err
	}
	if socket != "" {
		return overSocket(socket, func(net.Conn) error { return nil }), nil
	}
	token, err := t.token(address)
	if err != nil {
		return nil, err
	}
	client := nodev1connect.NewNodeServiceClient(patient{
		Transport:     bearer{http.DefaultTransport, token},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // no node sends one on
	}, address)
	if u, err := url.Parse(address); token == "" && err == nil && u.Scheme == "http" && local(u.Hostname()) {
		return introduced(ctx, masked(address), client)
	}
	return client, nil
}

// overSocket speaks to the node that listens on a socket, if check does not refuse the connection.
func overSocket(path string, check func(net.Conn) error) api {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err != nil {
			return nil, err
		}
		if err := check(c); err != nil {
			_ = c.Close() // nothing was sent
			return nil, err
		}
		return c, nil
	}}
	return nodev1connect.NewNodeServiceClient(patient{Transport: transport}, "http://node")
}

// patient gives a call a deadline, and a stream none: connect has another type of content for streams.
type patient http.Client

// Do implements connect.HTTPClient.
func (p patient) Do(r *http.Request) (*http.Response, error) {
	client := http.Client(p)
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/connect+") {
		client.Timeout = timeout
	}
	return client.Do(r)
}

// bearer sends a token with each request.
type bearer struct {
	transport http.RoundTripper
	token     string
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.transport.RoundTrip(r)
}
