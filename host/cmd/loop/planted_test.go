package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

// planted are the secrets of a script, by name.
type planted map[string]string

type plantedKey struct{}

// plant NAME VALUE: a variable of the script becomes a secret, which nothing that is searched afterwards may have.
func plant(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: plant NAME VALUE")
	}
	ts.Setenv(args[0], args[1])
	ts.Value(plantedKey{}).(planted)[args[0]] = strings.TrimSpace(args[1])
}

// search fails if a text has a secret, as it is or in a form that anybody can undo.
func (p planted) search(ts *testscript.TestScript, where string, text []byte) {
	for name, secret := range p {
		for _, form := range []string{
			secret, url.QueryEscape(secret), hex.EncodeToString([]byte(secret)),
			base64.StdEncoding.EncodeToString([]byte(secret)),
		} {
			if at := bytes.Index(text, []byte(form)); at >= 0 {
				ts.Fatalf("%s has the secret %s: %q", where, name, text[max(0, at-200):min(len(text), at+len(form)+50)])
			}
		}
	}
}

// hides CODE PROGRAM ARGS...: exits, and nothing that is printed has a secret.
func hides(ts *testscript.TestScript, neg bool, args []string) {
	exits(ts, neg, args)
	for _, stream := range []string{"stdout", "stderr"} {
		ts.Value(plantedKey{}).(planted).search(ts, strings.Join(args[1:], " ")+" on "+stream, []byte(ts.ReadFile(stream)))
	}
}

// searched TOKEN: no secret is in the node's folder, its log, what it tells everybody, and what a caller with a token
// is told.
func searched(ts *testscript.TestScript, _ bool, args []string) {
	searchedAtRest(ts, false, nil)
	secrets := ts.Value(plantedKey{}).(planted)
	node := ts.Getenv("NODE_URL")
	for _, path := range []string{
		"/", "/metrics", "/health", "/readyz", "/discovery", "/plugins/evm/metrics", "/plugins/median/metrics", "/debug/vars",
		"/debug/pprof/",
	} {
		request, err := http.NewRequest(http.MethodGet, node+path, nil)
		ts.Check(err)
		_, said := ask(ts, request)
		secrets.search(ts, path, said)
	}
	searchAPI(ts, secrets, node, strings.TrimSpace(ts.ReadFile(args[0])))
}

// searchedAtRest: no secret is in the node's folder and its log.
func searchedAtRest(ts *testscript.TestScript, _ bool, _ []string) {
	secrets := ts.Value(plantedKey{}).(planted)
	secrets.search(ts, "the log", []byte(ts.ReadFile("node.log")))
	files := 0
	ts.Check(filepath.WalkDir(ts.MkAbs("root"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		secrets.search(ts, path, content)
		files++
		return err
	}))
	if files == 0 {
		ts.Fatalf("the node's folder has no files")
	}
}

// searchAPI makes each call that reads, once for each thing that it can name.
func searchAPI(ts *testscript.TestScript, secrets planted, node, token string) {
	service := nodev1.File_loop_node_v1_node_proto.Services().ByName("NodeService")
	answered := 0
	for i := range service.Methods().Len() {
		m := service.Methods().Get(i)
		options, _ := m.Options().(*descriptorpb.MethodOptions)
		reads := options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
		if reveals := strings.HasPrefix(string(m.Name()), "Reveal"); m.IsStreamingServer() || !reads && !reveals {
			continue
		}
		for _, name := range []string{"evm", "median", "prices"} {
			body := fmt.Sprintf(`{"id":"1","jobId":"1","runId":"1","run":"1","name":%q}`, name)
			request, err := http.NewRequest(http.MethodPost, node+"/"+string(service.FullName())+"/"+string(m.Name()),
				strings.NewReader(body))
			ts.Check(err)
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Authorization", "Bearer "+token)
			status, said := ask(ts, request)
			secrets.search(ts, string(m.Name()), said)
			if status == http.StatusOK {
				answered++
				continue
			}
			known(ts, m, status, said)
		}
	}
	if answered < 12 {
		ts.Fatalf("%d calls were answered: the search does not work", answered)
	}
}

// known fails if a call failed in another way than by a role, or by a name that nothing has.
func known(ts *testscript.TestScript, m protoreflect.MethodDescriptor, status int, said []byte) {
	if status != http.StatusForbidden && status != http.StatusNotFound && status != http.StatusBadRequest {
		ts.Fatalf("%s answers %d: %s", m.Name(), status, said)
	}
}

func ask(ts *testscript.TestScript, request *http.Request) (status int, said []byte) {
	answer, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer answer.Body.Close()
	said, err = io.ReadAll(answer.Body)
	ts.Check(err)
	return answer.StatusCode, append(said, fmt.Sprint(answer.Header)...)
}
