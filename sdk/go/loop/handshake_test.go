package loop

import (
	"strings"
	"testing"
)

// The certificate goes into go-plugin's line and nowhere else, whatever is printed around it.
func TestPassOn(t *testing.T) {
	t.Parallel()
	for printed, want := range map[string]string{
		"1|1|unix|/s|grpc|\n":                  "1|1|unix|/s|grpc|CERT\n",
		"1|1|unix|/s|grpc||true\n":             "1|1|unix|/s|grpc|CERT|true\n",
		"hello\n1|1|unix|/s|grpc|\na|b\nrest":  "hello\n1|1|unix|/s|grpc|CERT\na|b\nrest",
		"1|1|unix|/s|grpc|\n1|1|unix|/s|grpc|": "1|1|unix|/s|grpc|CERT\n1|1|unix|/s|grpc|",
		"a|b|c|d|e|\n":                         "a|b|c|d|e|\n",
		"no line":                              "no line",
		"":                                     "",
	} {
		var out strings.Builder
		passOn(&out, strings.NewReader(printed), "CERT")
		if out.String() != want {
			t.Errorf("%q became %q; want %q", printed, out.String(), want)
		}
	}
}
