package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// jsonParse picks one value out of a JSON text.
type jsonParse struct {
	data, path, separator parameter
	lax                   bool
}

func buildJSONParse(b *builder) behaviour {
	return &jsonParse{
		data: b.needInput(b.reference("data")), path: b.verbatim("path"), separator: b.verbatim("separator"),
		lax: b.boolean("lax", false),
	}
}

func (j *jsonParse) evaluate(s scope) (any, error) {
	data, err := j.data.operand(s)
	if err != nil {
		return nil, err
	}
	var text []byte
	switch v := data.(type) {
	case string:
		text = []byte(v)
		if strings.HasPrefix(v, "0x") {
			if text, err = unhex(v); err != nil {
				return nil, fmt.Errorf("the data is not JSON: %w", err)
			}
		}
	case []byte:
		text = v
	default:
		return nil, fmt.Errorf("the data is %s, and only text can be parsed as JSON", describe(data))
	}
	path, err := j.segments(s)
	if err != nil {
		return nil, err
	}
	document, _, err := decodeJSON(text)
	if err != nil {
		return nil, fmt.Errorf("the data is not JSON: %w", err)
	}
	picked, err := walk(document, path, j.lax)
	if err != nil {
		return nil, err
	}
	picked = settle(picked)
	if n, ok := picked.(json.Number); ok && !isInteger(n) { // a fault of this task, so that a median can do without it
		_, err := number(n)
		return nil, err
	}
	return picked, nil
}

// segments returns the steps of the path; no path is the whole document.
func (j *jsonParse) segments(s scope) ([]string, error) {
	if !j.path.present {
		return nil, nil
	}
	path, err := j.path.resolve(s, false)
	if err != nil {
		return nil, err
	}
	separator := any(",")
	if j.separator.present {
		if separator, err = j.separator.resolve(s, false); err != nil {
			return nil, err
		}
	}
	cut, ok := separator.(string)
	if !ok || cut == "" {
		return nil, j.separator.wrap(fmt.Errorf("the separator must be a text, not %s", describe(separator)))
	}
	switch v := path.(type) {
	case string:
		if v == "" {
			return nil, nil
		}
		return strings.Split(v, cut), nil
	case []any:
		segments := make([]string, len(v))
		for i, element := range v {
			if segments[i], ok = element.(string); !ok {
				return nil, j.path.wrap(fmt.Errorf("element %d of the path is %s, not a string", i, describe(element)))
			}
		}
		return segments, nil
	default:
		return nil, j.path.wrap(fmt.Errorf("the path must be a text or a list of texts, not %s", describe(path)))
	}
}

// walk follows a path into a JSON document. With lax, a last segment that is not there gives nil.
func walk(document any, path []string, lax bool) (any, error) {
	for i, segment := range path {
		last := i == len(path)-1
		switch v := document.(type) {
		case map[string]any:
			next, ok := v[segment]
			if !ok {
				if lax && last {
					return nil, nil
				}
				return nil, missing(path, i, "there is no such key")
			}
			document = next
		case []any:
			at, err := strconv.Atoi(segment)
			switch {
			case errors.Is(err, strconv.ErrRange):
				at = len(v) // as much outside as any
			case err != nil:
				return nil, missing(path, i, "a list wants a number here")
			case at < 0:
				at += len(v)
			}
			if at < 0 || at >= len(v) {
				if lax && last {
					return nil, nil
				}
				return nil, missing(path, i, fmt.Sprintf("the list has only %d elements", len(v)))
			}
			document = v[at]
		default:
			return nil, missing(path, i, fmt.Sprintf("%s has no parts", describe(document)))
		}
	}
	return document, nil
}

func missing(path []string, i int, why string) error {
	return fmt.Errorf("could not follow the path to %s, segment %d: %s", quote(path[i]), i+1, why)
}
