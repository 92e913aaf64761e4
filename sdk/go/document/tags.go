package document

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Faulty is a value whose text could not be read. Its UnmarshalText does not fail, so that the fault is reported with
// all other problems.
type Faulty interface {
	// Fault says what is wrong and what to write; empty if nothing is wrong.
	Fault() string
}

// checkTags reports values that are Faulty or out of their bounds.
func checkTags(p *Problems, path string, value reflect.Value) {
	switch value.Kind() {
	case reflect.Pointer:
		if !value.IsNil() {
			checkTags(p, path, value.Elem())
		}
		return
	case reflect.Slice:
		for at := range value.Len() {
			checkTags(p, fmt.Sprintf("%s[%d]", path, at), value.Index(at))
		}
		return
	case reflect.Struct:
	default:
		return
	}
	if faulty, ok := value.Interface().(Faulty); ok {
		if fault := faulty.Fault(); fault != "" {
			p.Add(path, "%s", fault)
		}
		return
	}
	if isText(value.Type()) {
		return
	}
	for at := range value.NumField() {
		field := value.Type().Field(at)
		if !isKey(field) {
			continue
		}
		key := Under(path, field.Name)
		checkTags(p, key, value.Field(at))
		if bounds, ok := field.Tag.Lookup("bounds"); ok {
			low, high, _ := strings.Cut(bounds, " ")
			checkBounds(p, key, value.Field(at), low, high)
		}
	}
}

// checkBounds panics if a tag cannot be read, so that the first reading of the struct's document shows the mistake.
func checkBounds(p *Problems, path string, value reflect.Value, low, high string) {
	if value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return
		}
		value = value.Elem()
	}
	if duration, ok := value.Interface().(Duration); ok {
		Lasts(p, path, duration, must(time.ParseDuration(low)), must(time.ParseDuration(high)))
		return
	}
	switch kind := value.Kind(); {
	case value.CanInt():
		Within(p, path, value.Int(), must(strconv.ParseInt(low, 10, 64)), must(strconv.ParseInt(high, 10, 64)))
	case value.CanUint():
		Within(p, path, value.Uint(), must(strconv.ParseUint(low, 10, 64)), must(strconv.ParseUint(high, 10, 64)))
	case value.CanFloat():
		Within(p, path, value.Float(), must(strconv.ParseFloat(low, 64)), must(strconv.ParseFloat(high, 64)))
	default:
		panic(fmt.Sprintf("%s has bounds, but is a %s", path, kind))
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("a field's tag: %v", err))
	}
	return value
}
