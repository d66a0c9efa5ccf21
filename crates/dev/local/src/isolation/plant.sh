left='left-by-an-earlier-job'
for folder in /tmp /var/tmp /dev/shm "$HOME" "$CI_PROJECT_DIR" "$CI_PROJECT_DIR/../.." "$CI_BUILDS_DIR/../.."; do
  echo secret > "$folder/$left"
done
mkdir -p "/tmp/runnerless/$left/deep" && chmod 000 "/tmp/runnerless/$left"
(setsid bash -c 'printf %s left-by-an-earl > /proc/self/comm; exec > /dev/null 2>&1; sleep 600; :' &)
