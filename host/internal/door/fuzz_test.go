package door

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/host/internal/database"
)

// FuzzBodies has an admin send anything to any method of the API, in any of the forms in which it comes, and expects an
// answer that is not a fault of the node's.
func FuzzBodies(f *testing.F) {
	secret, hash := NewSecret()
	guard := New(tokens{hex.EncodeToString(hash): database.Token{Name: "fuzz", Role: RoleName(nodev1.Role_ROLE_ADMIN)}},
		&nodev1.TokenWanted{}, slog.New(slog.DiscardHandler))
	_, api := nodev1connect.NewNodeServiceHandler(nodev1connect.UnimplementedNodeServiceHandler{}, guard.Options())
	guarded := guard.Guard(api)
	var procedures []string
	for procedure := range roles {
		procedures = append(procedures, procedure)
	}
	slices.Sort(procedures)
	types := []string{
		"application/proto", "application/json", "application/connect+proto", "application/connect+json", "application/grpc",
		"application/grpc-web+proto", "text/plain", "",
	}
	encodings := []string{"", "identity", "gzip", "br"}
	request, err := proto.Marshal(&nodev1.AddJobRequest{SpecToml: "type = 'x'"})
	if err != nil {
		f.Fatal(err)
	}
	var zipped bytes.Buffer
	packer := gzip.NewWriter(&zipped)
	_, _ = packer.Write(request) // into memory
	_ = packer.Close()
	for at := range procedures {
		f.Add(uint(at), uint(0), uint(0), request)
		f.Add(uint(at), uint(1), uint(0), []byte(`{"specToml":"type = 'x'","id":"1","unknown":[{}]}`))
		f.Add(uint(at), uint(0), uint(2), zipped.Bytes())
		f.Add(uint(at), uint(2), uint(0), append([]byte{0, 0, 0, 0, byte(len(request))}, request...))
		f.Add(uint(at), uint(4), uint(0), []byte{1, 0xff, 0xff, 0xff, 0xff})
		f.Add(uint(at), uint(1), uint(3), bytes.Repeat([]byte("["), 20000))
	}
	f.Fuzz(func(t *testing.T, procedure, kind, encoding uint, body []byte) {
		kind, encoding = kind%uint(len(types)), encoding%uint(len(encodings))
		r := httptest.NewRequest(http.MethodPost, procedures[procedure%uint(len(procedures))], bytes.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+secret)
		r.Header.Set("Content-Type", types[kind])
		r.Header.Set("Content-Encoding", encodings[encoding])
		r.Header.Set("Connect-Content-Encoding", encodings[encoding])
		w := httptest.NewRecorder()
		guarded.ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError && w.Code != http.StatusNotImplemented {
			t.Errorf("%s answers %d: %.300s", r.URL.Path, w.Code, w.Body)
		}
		if w.Body.Len() > 4<<10 {
			t.Errorf("%s answers with %d bytes: %.300s", r.URL.Path, w.Body.Len(), w.Body)
		}
	})
}

// FuzzToken has a stranger show anything as a token.
func FuzzToken(f *testing.F) {
	guard := New(tokens{}, &nodev1.TokenWanted{}, slog.New(slog.DiscardHandler))
	guarded := guard.Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { f.Error("a stranger is let in") }))
	for _, seed := range []string{"", "Bearer", "Bearer ", "bearer loop_", "Basic YTpi", "Bearer loop_\x00",
		"Bearer " + string(bytes.Repeat([]byte{'a'}, 9000))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodPost, nodev1connect.NodeServiceListKeysProcedure, nil)
		r.Header.Set("Content-Type", "application/proto")
		r.Header["Authorization"] = []string{header}
		w := httptest.NewRecorder()
		guarded.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%.80q is answered with %d: %.300s", header, w.Code, w.Body)
		}
	})
}
