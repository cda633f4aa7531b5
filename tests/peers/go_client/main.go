// A Go client on keep-alive connections: go run main.go PORT DOMAIN ROUNDS
//
// It stands before the proxy. Everything that goes wrong ends it with status 1; what it did it prints as JSON:
// the number of requests, and how many connections were opened for them.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"time"
)

var (
	whole    = bytes.Repeat([]byte("0123456789abcdef-"), 20000)
	digest   = sha256.Sum256(whole)
	client   *http.Client
	base     string
	domain   string
	requests int
	opened   int
)

// ask sends one request and returns its answer with the whole body. A body without a known type is sent chunked.
func ask(method, path string, body io.Reader, change func(*http.Request)) (*http.Response, []byte) {
	request, err := http.NewRequest(method, base+path, body)
	check(err, method, path)
	request.Host = domain
	if change != nil {
		change(request)
	}
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			opened++
		}
	}}
	response, err := client.Do(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
	check(err, method, path)
	content, err := io.ReadAll(response.Body)
	check(err, method, path)
	check(response.Body.Close(), method, path)
	requests++
	return response, content
}

func check(err error, method, path string) {
	if err != nil {
		log.Fatalf("%s %s: %v", method, path, err)
	}
}

func expect(good bool, what string, seen any) {
	if !good {
		log.Fatalf("%s: %v", what, seen)
	}
}

// sunk says whether the back-end's answer has the digest of what was sent.
func sunk(content []byte) bool {
	var answer struct{ Sha256 string }
	return json.Unmarshal(content, &answer) == nil && answer.Sha256 == hex.EncodeToString(digest[:])
}

func main() {
	base, domain = "http://127.0.0.1:"+os.Args[1], os.Args[2]
	rounds, err := strconv.Atoi(os.Args[3])
	check(err, "rounds", os.Args[3])
	client = &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			Proxy:                 nil,
			MaxConnsPerHost:       1,
			MaxIdleConnsPerHost:   1,
			DisableCompression:    true,
			ExpectContinueTimeout: 15 * time.Second,
		},
	}
	for round := 0; round < rounds; round++ {
		path := fmt.Sprintf("/%d?a=b", round)
		var echo struct{ Method, Target string }
		_, content := ask("GET", path, nil, nil)
		expect(json.Unmarshal(content, &echo) == nil && echo.Target == path, "GET", string(content))

		_, content = ask("POST", "/sink", bytes.NewReader(whole), nil)
		expect(sunk(content), "POST with a length", string(content))

		// Go cannot see the length of what hides behind MultiReader.
		_, content = ask("PUT", "/sink", io.MultiReader(bytes.NewReader(whole)), nil)
		expect(sunk(content), "PUT, chunked", string(content))

		_, content = ask("POST", "/sink", bytes.NewReader(whole), func(request *http.Request) {
			request.Header.Set("Expect", "100-continue")
		})
		expect(sunk(content), "POST with Expect", string(content))

		_, content = ask("PATCH", "/sink", io.MultiReader(bytes.NewReader(whole)), func(request *http.Request) {
			request.Trailer = http.Header{"X-Trailer": {"t"}}
		})
		expect(sunk(content), "PATCH with a trailer", string(content))

		response, content := ask("HEAD", "/bytes/777", nil, nil)
		expect(response.ContentLength == 777 && len(content) == 0, "HEAD", response.ContentLength)

		response, content = ask("GET", "/chunked/100000", nil, nil)
		expect(len(content) == 100000 && response.ContentLength == -1, "GET, chunked", len(content))

		response, _ = ask("DELETE", "/status/204", nil, nil)
		expect(response.StatusCode == 204, "DELETE", response.StatusCode)
	}
	fmt.Printf("{\"requests\": %d, \"connections\": %d}\n", requests, opened)
}
