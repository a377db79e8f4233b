"""The web app, the only package that imports Streamlit: session state, cached resources, panels."""
