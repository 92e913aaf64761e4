package price

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// maxSource is the most that a node's http task reads by default.
const maxSource = 32 << 10

// CheckSource asks a price source once, as a job's http task with a jsonparse task behind it would, and fails when it
// does not answer, or not with a number at path: keys separated by commas.
func CheckSource(ctx context.Context, url, path string) error {
	// The URL goes into a job's pipeline between quotes, where these characters would end it or mean something else.
	if strings.ContainsAny(url, "\"\\\n") || strings.Contains(url, "$(") {
		return errors.New("read the price source: a job cannot hold quotes, backslashes or $( in the URL of --source; " +
			"write them as %22, %5C and %24(")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("read the price source: %w; give --source an http or https URL", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("read the price source: %w; check that it runs and that --source is right", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxSource))
	if err != nil {
		return fmt.Errorf("read the price source %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("read the price source %s: it answered %s; check --source", url, response.Status)
	}
	if err := checkNumber(body, path); err != nil {
		return fmt.Errorf("read the price source %s: %w; say where the price stands with --source-path", url, err)
	}
	return nil
}

func checkNumber(body []byte, path string) error {
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return fmt.Errorf("its answer is not JSON (%w)", err)
	}
	for key := range strings.SplitSeq(path, ",") {
		object, ok := value.(map[string]any)
		if !ok {
			return fmt.Errorf("its answer has no object that could hold the key %q of the path %q", key, path)
		}
		if value, ok = object[key]; !ok {
			return fmt.Errorf("its answer has no key %q of the path %q", key, path)
		}
	}
	if _, ok := new(big.Rat).SetString(fmt.Sprint(value)); !ok {
		return fmt.Errorf("its answer has no number at the path %q", path)
	}
	return nil
}
