package main

import (
	"path"
	"regexp"
	"strings"
)

// link matches a link or an image of Markdown to a file of the project.
var link = regexp.MustCompile(`(!?)(\[[^\]]*\])\(([^():#\s][^():\s]*)\)`)

// absolute makes the links of a document lead to the project's site at a version: what is beside it in the project is
// not beside it in an archive or a package. dir is the document's folder in the project.
func absolute(document, dir, version string) string {
	return link.ReplaceAllStringFunc(document, func(found string) string {
		parts := link.FindStringSubmatch(found)
		file, heading, _ := strings.Cut(parts[3], "#")
		site := "https://" + project + "/blob/"
		if parts[1] == "!" {
			site = strings.Replace("https://"+project+"/", "github.com", "raw.githubusercontent.com", 1)
		}
		if heading != "" {
			heading = "#" + heading
		}
		return parts[1] + parts[2] + "(" + site + version + "/" + path.Join(dir, file) + heading + ")"
	})
}
