// A reverse proxy of Go's standard library, told to do the same work as the proxy that it is compared with.
package main

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"flag"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// buffers are shared between requests, as the documentation of ReverseProxy advises.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if kept, ok := b.pool.Get().(*[]byte); ok {
		return *kept
	}
	return make([]byte, 32*1024)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }

func requestID() string {
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		log.Fatal(err)
	}
	return hex.EncodeToString(random[:])
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "where clients connect")
	backend := flag.String("backend", "127.0.0.1:8081", "where requests go")
	pem := flag.String("pem", "", "a file with certificate and key: speak TLS")
	pooled := flag.Bool("pooled", true, "keep connections to the back-end")
	timeout := flag.Duration("timeout", time.Minute, "of everything")
	flag.Parse()

	target, err := url.Parse("http://" + *backend)
	if err != nil {
		log.Fatal(err)
	}
	scheme := "http"
	if *pem != "" {
		scheme = "https"
	}
	_, port, _ := net.SplitHostPort(*listen)
	proxy := httputil.NewSingleHostReverseProxy(target)
	rewrite := proxy.Director
	proxy.Director = func(request *http.Request) { // ReverseProxy adds X-Forwarded-For by itself
		rewrite(request)
		request.Header.Set("X-Request-Id", requestID())
		request.Header.Set("X-Request-Start", strconv.FormatInt(time.Now().UnixMilli(), 10))
		request.Header.Set("X-Forwarded-Proto", scheme)
		request.Header.Set("X-Forwarded-Port", port)
		request.Header.Add("Via", "1.1 go")
	}
	proxy.ModifyResponse = func(response *http.Response) error {
		response.Header.Add("Via", "1.1 go")
		return nil
	}
	proxy.BufferPool = &buffers{}
	proxy.Transport = &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConns:          1024,
		MaxIdleConnsPerHost:   512,
		IdleConnTimeout:       *timeout,
		ResponseHeaderTimeout: *timeout,
		DisableCompression:    true,
		DisableKeepAlives:     !*pooled,
	}
	server := &http.Server{
		Addr:              *listen,
		Handler:           proxy,
		ReadHeaderTimeout: *timeout,
		IdleTimeout:       *timeout,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}},
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1 only
	}
	if *pem != "" {
		log.Fatal(server.ListenAndServeTLS(*pem, *pem))
	}
	log.Fatal(server.ListenAndServe())
}
