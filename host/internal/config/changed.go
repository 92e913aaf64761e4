package config

import (
	"encoding"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Changed returns the keys in which two configurations differ, except those of chains, in the order of the reference.
// It does not return values, since some are secrets.
func Changed(before, now *Config) []string {
	var found []string
	differ("", reflect.ValueOf(*before), reflect.ValueOf(*now), &found)
	was, is := before.Environment.Plugins, now.Environment.Plugins
	names := slices.Concat(slices.Collect(maps.Keys(was)), slices.Collect(maps.Keys(is)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		path := "Plugins." + strings.ToUpper(name[:1]) + name[1:]
		differ(path, reflect.ValueOf(was[name].Rules), reflect.ValueOf(is[name].Rules), &found)
	}
	return found
}

// differ adds the keys of a table that differ. What is not a key of the file has the tag "-".
func differ(path string, before, now reflect.Value, found *[]string) {
	for at := range before.NumField() {
		field := before.Type().Field(at)
		if !field.IsExported() || field.Tag.Get("toml") == "-" {
			continue
		}
		key := strings.TrimPrefix(path+"."+field.Name, ".")
		was, is := before.Field(at), now.Field(at)
		switch {
		case isTable(field.Type):
			differ(key, was, is, found)
		case !reflect.DeepEqual(was.Interface(), is.Interface()):
			*found = append(*found, key)
		}
	}
}

// isTable tells a table from a value, such as a duration, that is a struct too.
func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}
