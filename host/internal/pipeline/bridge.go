package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// bridgeTask asks an external adapter.
type bridgeTask struct {
	name          string
	data, headers parameter
	ttl           *time.Duration
	inputKey      string
	task          *task
}

var bridgeNamePattern = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

func buildBridge(b *builder) behaviour {
	t := &bridgeTask{
		data:    b.json("requestData", "a map"),
		headers: b.json("headers", "a list"),
		ttl:     b.duration("cacheTTL"),
		task:    b.task,
	}
	if attr := b.written("name"); attr == nil {
		b.problem("", "attribute name is required for a task of type bridge")
	} else if t.name = attr.value; !bridgeNamePattern.MatchString(t.name) {
		b.problem("name", "%q is not a bridge's name: letters, digits, - and _ only", shorten(t.name, 64))
	}
	if attr := b.written("includeInputAtKey"); attr != nil {
		t.inputKey = attr.value
	}
	if b.boolean("async", false) {
		b.problem("async", "an asynchronous bridge cannot answer within an observation; remove the attribute")
	}
	if literal, ok := t.headers.literal.([]any); ok && !t.headers.open {
		if _, err := headerPairs(literal); err != nil {
			b.problem("headers", "%v", err)
		}
	}
	return t
}

// bridgeCall is a request to a bridge whose address is not yet known.
type bridgeCall struct {
	task     *bridgeTask
	exchange *exchange
	spec     specKey
}

func (t *bridgeTask) prepare(s scope) (call, error) {
	body := map[string]any{}
	if t.data.present {
		data, err := object(t.data, s)
		if err != nil {
			return nil, err
		}
		maps.Copy(body, data)
	}
	if t.inputKey != "" && len(s.inputs) > 0 {
		body[t.inputKey] = s.inputs[0].value
	}
	meta, _ := s.run["jobRun"].(map[string]any)
	body["meta"] = meta["meta"]
	x := &exchange{method: http.MethodPost, header: http.Header{"Content-Type": {"application/json"}},
		what: "the request to bridge " + t.name}
	var err error
	if x.body, err = encode(body); err != nil {
		return nil, t.data.wrap(err)
	}
	if err := x.addHeaders(t.headers, s); err != nil {
		return nil, err
	}
	return &bridgeCall{task: t, exchange: x, spec: s.spec}, nil
}

// do asks the bridge. With a cacheTTL, runs that send the same request at the same moment share it, and the last good
// answer stands in for a failure while it is younger than that.
func (c *bridgeCall) do(ctx context.Context, r *Runner) (any, error) {
	if c.ttl(r) <= 0 {
		return c.ask(ctx, r)
	}
	answer, err := c.share(ctx, r)
	if err == nil {
		r.cache.put(c.key(), answer)
		return answer, nil
	}
	return c.stored(ctx, r, err)
}

func (c *bridgeCall) key() cacheKey { return cacheKey{spec: c.spec, task: c.task.task.name} }

// ttl is for how long an answer stands in for a failure.
func (c *bridgeCall) ttl(r *Runner) time.Duration {
	if c.task.ttl != nil {
		return c.task.ttl.Truncate(time.Second)
	}
	return r.bridgeCacheTTL
}

// stored returns the last good answer in place of a failure, or the failure if there is none that is young enough.
func (c *bridgeCall) stored(ctx context.Context, r *Runner, err error) (any, error) {
	cached, age, ok := r.cache.get(c.key(), c.ttl(r))
	if !ok {
		return nil, err
	}
	r.logger.WarnContext(ctx, "bridge failed, using its last good answer", "task", c.task.task.name, "bridge", c.task.name,
		"age", age, "error", err)
	return cached, nil
}

// flight is the result of a shared request.
type flight struct {
	answer string
	gone   bool // the run that asked has ended, which says nothing about the bridge
}

// share joins a request of the same name, headers and body that is under way, or starts one.
func (c *bridgeCall) share(ctx context.Context, r *Runner) (string, error) {
	key := c.fingerprint()
	for {
		done := r.flights.DoChan(key, func() (result any, err error) {
			defer recovered(ctx, r.logger, c.task.task.name, &err) // singleflight would end the process
			answer, err := c.ask(ctx, r)
			return flight{answer: answer, gone: err != nil && ctx.Err() != nil}, err
		})
		select {
		case result := <-done:
			shared, _ := result.Val.(flight)
			if shared.gone && ctx.Err() == nil {
				continue // another run had less time than this one has
			}
			return shared.answer, result.Err
		case <-ctx.Done():
			return "", fmt.Errorf("%s got no answer: %w", c.exchange.what, context.Cause(ctx))
		}
	}
}

// fingerprint tells requests apart.
func (c *bridgeCall) fingerprint() string {
	hash := sha256.New()
	hash.Write([]byte(c.task.name + "\n"))
	_ = c.exchange.header.Write(hash) // sorted; a hash takes all
	hash.Write(c.exchange.body)
	return string(hash.Sum(nil))
}

// ask sends the request and judges the answer.
func (c *bridgeCall) ask(ctx context.Context, r *Runner) (_ string, err error) {
	if r.asked != nil {
		defer func(begin time.Time) { r.asked(c.task.name, time.Since(begin), err) }(time.Now())
	}
	address, err := r.bridges.Bridge(ctx, c.task.name)
	if err != nil {
		return "", fmt.Errorf("could not find bridge %s: %w", c.task.name, err)
	}
	x := *c.exchange
	if x.url, err = parseURL(address); err != nil {
		return "", fmt.Errorf("the record of bridge %s is bad: %w", c.task.name, err)
	}
	of := hidden(append(urlSecrets(x.url), address))
	r.urls.Store(c.task.name, of)
	x.secrets = longestFirst(slices.Concat(c.exchange.secrets, of))
	reply, status, err := r.exchange(ctx, &x)
	if err != nil {
		return "", err
	}
	failure, enveloped := adapterFailure(reply)
	// The status in an adapter's envelope takes the place of HTTP's, unless that is a failure.
	if status != http.StatusOK && (!enveloped || status >= http.StatusBadRequest) {
		return "", fmt.Errorf("bridge %s answered with status %d%s", c.task.name, status, x.quoteError(reply))
	}
	if failure != "" {
		return "", fmt.Errorf("bridge %s reports status %s%s", c.task.name, failure, x.quoteError(reply))
	}
	return string(reply), nil
}

// secretsOf includes those of the bridge's URL: the answer may be another run's, or an old one.
func (c *bridgeCall) secretsOf(r *Runner) []string {
	url, _ := r.urls.Load(c.task.name)
	of, _ := url.([]string)
	return slices.Concat(c.exchange.secrets, of)
}

// adapterFailure returns the status of failure that an adapter reports inside a reply, or nothing, and whether the
// reply is an adapter's envelope. One without statusCode is none, and reports no failure, whatever else it has.
func adapterFailure(reply []byte) (failure string, enveloped bool) {
	value, _, err := decodeJSON(reply)
	if err != nil {
		return "", false
	}
	body, _ := value.(map[string]any)
	code, ok := body["statusCode"].(json.Number)
	if !ok {
		return "", false
	}
	provider, ok := body["providerStatusCode"].(json.Number)
	switch {
	case !isOK(code):
		return shorten(code.String(), 16), true
	case ok && !isOK(provider):
		return shorten(provider.String(), 16), true
	case body["error"] != nil:
		return strconv.Itoa(http.StatusInternalServerError), true
	}
	return "", true
}

func isOK(status json.Number) bool {
	code, err := status.Float64()
	return err == nil && code == http.StatusOK
}

// specKey tells pipelines apart in the cache.
type specKey struct {
	id     string
	digest [sha256.Size]byte
}

type cacheKey struct {
	spec specKey
	task string
}

// maxCached bounds the cached answers: one a task, each as large as a reply may be (32 KiB by default).
const maxCached = 4096

// cache keeps the last good answer of each bridge task that asks for it. It is in memory alone: an answer that outlived
// the process would be too old for every cacheTTL in use.
type cache struct {
	mu      sync.Mutex
	entries map[cacheKey]cached
}

type cached struct {
	answer string
	at     time.Time
}

func (c *cache) get(key cacheKey, ttl time.Duration) (answer string, age time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.entries[key]
	age = time.Since(entry.at)
	return entry.answer, age, ok && age < ttl
}

func (c *cache) put(key cacheKey, answer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[key]; !ok && len(c.entries) >= maxCached {
		var oldest cacheKey
		at := time.Now()
		for k, entry := range c.entries {
			if !entry.at.After(at) {
				oldest, at = k, entry.at
			}
		}
		delete(c.entries, oldest)
	}
	c.entries[key] = cached{answer: answer, at: time.Now()}
}
