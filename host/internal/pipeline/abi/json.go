package abi

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// typePattern is what a type of an ABI in JSON looks like; a tuple's fields stand beside it.
var typePattern = regexp.MustCompile(`^([a-z]+[0-9]*)((?:\[[0-9]*\])*)$`)

// entry is an argument, or a field of a tuple, of an ABI in JSON.
type entry struct {
	Name       string  `json:"name"`
	Type       string  `json:"type"`
	Components []entry `json:"components"`
}

// ParseJSON reads a function of a contract's ABI in JSON, as compilers write it: an object with a name and inputs.
// Without a name it is only the arguments.
func ParseJSON(text string) (*Signature, error) {
	var function struct {
		Name   string  `json:"name"`
		Inputs []entry `json:"inputs"`
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	if err := decoder.Decode(&function); err != nil {
		const such = `{"name": "transfer", "inputs": [{"name": "to", "type": "address"}]}`
		return nil, errors.New("the function is not an object in JSON such as " + such)
	}
	if function.Name != "" && !isWord(function.Name) {
		return nil, fmt.Errorf("%q is not the name of a function", shortened(function.Name))
	}
	arguments, err := written(function.Inputs, 0)
	if err != nil {
		return nil, err
	}
	return ParseFunction(function.Name + "(" + arguments + ")")
}

// written writes entries as Solidity has them.
func written(entries []entry, depth int) (string, error) {
	if depth > maxDepth {
		return "", errTooDeep
	}
	parts := make([]string, len(entries))
	for i, e := range entries {
		if e.Name != "" && (!isWord(e.Name) || locations[e.Name] || e.Name == "indexed") {
			return "", fmt.Errorf("%q is not the name of an argument", shortened(e.Name))
		}
		match := typePattern.FindStringSubmatch(e.Type)
		if match == nil {
			return "", fmt.Errorf("argument %s: %q is not a type", e.Name, shortened(e.Type))
		}
		base := match[1]
		if base == "tuple" {
			fields, err := written(e.Components, depth+1)
			if err != nil {
				return "", err
			}
			base = "(" + fields + ")"
		}
		parts[i] = base + match[2] + " " + e.Name
	}
	return strings.Join(parts, ", "), nil
}

func isWord(text string) bool { return wordPattern.FindString(text) == text }
